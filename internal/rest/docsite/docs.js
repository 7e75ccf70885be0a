// Starts the API reference. Everything that would leave this origin is switched off here, and the page's
// Content-Security-Policy forbids it once more.
Scalar.createApiReference("#reference", {
  url: "/api/v1/openapi.json",
  withDefaultFonts: false,
  telemetry: false,
  persistAuth: false, // a key typed into the page is gone with it
  hideClientButton: true, // opens an external client
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  operationTitleSource: "summary",
  defaultOpenFirstTag: true,
  documentDownloadType: "both",
});
