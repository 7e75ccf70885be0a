// Package mapping says what a file's rows say about vehicles: which column feeds which field, by the integration's
// own mapping, the names that columns go by in the trade, and for the VIN its values; each row as an
// vehicle.Change with what was wrong or odd about it; what columns could feed besides (Suggestion), shown before
// and after (Preview); how a header differs from the one before; and which columns not everybody may see (Hidden).
//
// Everything is pure. Rows come from package sheet; what a value means (canonical words, money, dates) is package
// vehicle's. Whose mapping it is, where it is stored, and what becomes of the changes and problems is package
// feed's.
package mapping
