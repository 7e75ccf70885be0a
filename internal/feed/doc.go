// Package feed owns the way from a vendor's file to the inventory: integrations, with the logins and SSH keys
// of their senders, and their mappings; files as they were received; and the run that applies them once, whole
// or not at all, with its log and row errors. What a file does not list is judged here (strategy, grace, guard), and
// files that would sell much are held.
//
// How bytes become rows is package sheet's, how rows become changes of vehicles package mapping's. Both are pure
// and work on a stream, and memory does not grow with the file here either, but for a hash of each VIN. What a value
// means, each source's record of a vehicle and what is shown of them live in package inventory; who holds a vehicle, in
// dealer. The SFTP server is package sftpd, which is given functions of this one; package job calls Work.
package feed
