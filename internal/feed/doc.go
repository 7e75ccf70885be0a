// Package feed owns the way from a vendor's file to the inventory: integrations, with the logins and SSH keys
// of their senders; files as they were received; header to mapping, row to inventory.Change; and the run that
// applies them once, whole or not at all, with its log and row errors. What a file does not list is judged here
// (strategy, grace, guard), and files that would sell much are held.
//
// Everything up to the change is pure and works on a stream: memory does not grow with the file, but for a hash
// of each VIN. How the bytes of a file become rows is package sheet's. What a value means (canonical words, money,
// dates), each source's record of a vehicle and what is shown of them live in package inventory; who holds a
// vehicle, in dealer. The SFTP server is package sftpd, which is given functions of this one; package job calls
// Work.
package feed
