// Package feed owns the way from a vendor's file to the inventory: integrations, with the logins and SSH keys
// of their senders; files as they were received; bytes to text, text to records, header to mapping, record to
// inventory.Change; and the run that applies them once, whole or not at all, with its log and row errors. What
// a file does not list is judged here (strategy, grace, guard), and files that would sell much are held.
//
// Everything up to the change is pure and works on a stream: memory does not grow with the file, but for a hash
// of each VIN. What a value means (canonical words, money, dates), each source's record of a vehicle and what
// is shown of them live in package inventory; who holds a vehicle, in dealer. The SFTP server is package sftpd,
// which is given functions of this one; package job calls Work.
//
// Records are split by our own scanner, not by encoding/csv: feeds need bounds on cells and records, lone
// CR line ends, and above all a way back when a quotation mark is never closed, which encoding/csv answers
// by swallowing the rest of the file. On well-formed input both agree; a fuzz test holds that.
package feed
