// Package vehicle owns what a vehicle is: the table of its fields (field.go), the canonical text of each value, how texts
// are read into it, forgivingly as feeds write them (Cleaner) and strictly as people and programs do (Read, ReadText), what
// a Change makes of values, how values and changes of them are written as JSON, and on what terms rules act on them (Ruling).
//
// A vehicle is its VIN and one canonical text per field, "" for null. Pure: what is stored and shown of vehicles, by whom and
// since when, lives in package inventory; which column of a file feeds which field in package mapping; what rules say in
// package rule.
package vehicle
