// Package rest owns what all routes share: the exchange (request id, limits, ETag, compression, the one
// place where errors become RFC 9457 problems), operations with their declared security, strict JSON,
// pagination and the OpenAPI document. Who the caller is and what it may do is decided in package auth,
// through the Gate.
package rest
