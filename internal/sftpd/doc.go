// Package sftpd owns the SFTP server that integrations drop their files at: the handshake, the limits, the
// virtual folder a login sees, and the spool of uploads under way. Who may log in, and what becomes of a
// complete file, is passed in as functions (Config); credentials and runs live in package feed.
//
// A login sees one folder of its own. Names given by clients are never paths of the operating system: the
// spool holds files with random names, each beside a small description with its virtual path, so that an
// upload can be resumed after a dropped connection and after a restart, on the same server.
//
// A file is complete when its handle is closed without an error and its name is final, or when a temporary
// or partial file is renamed to a final name. A cut connection, a failed write or a gap leaves a partial
// file, cut to the part that is known to be whole. What the protocol can't tell apart: a client that closes
// the handle properly in the middle (Ctrl-C in OpenSSH's sftp does) has sent a complete, shorter file.
package sftpd
