package index

import "bytes"

// Stock numbers stand in lower case one behind the other, so that one pass over them finds a text. Behind each follow a
// line break and the slot of its vehicle, in bytes no text begins with.
type stockNumbers struct {
	text []byte
	at   []uint32 // by slot: where in text; 0 for none
	dead int      // bytes no longer used
}

const (
	slotBytes = 5 // of 6 bits each
	slotMark  = 0x80
)

// of is a vehicle's stock number in lower case.
func (s *stockNumbers) of(slot uint32) []byte {
	at := s.at[slot]
	if at == 0 {
		return nil
	}
	end := bytes.IndexByte(s.text[at:], '\n')
	return s.text[at : int(at)+end]
}

// set sets a vehicle's stock number, in lower case, and tells whether it changed.
func (s *stockNumbers) set(slot uint32, stock string) (changed bool) {
	if string(s.of(slot)) == stock {
		return false
	}
	if at := s.at[slot]; at != 0 {
		end := int(at) + len(s.of(slot)) + 1 + slotBytes
		for i := int(at); i < end; i++ {
			s.text[i] = '\n'
		}
		s.dead += end - int(at)
	}
	s.at[slot] = 0
	if stock != "" {
		s.append(slot, stock)
	}
	return true
}

func (s *stockNumbers) append(slot uint32, stock string) {
	s.at[slot] = uint32(len(s.text))
	s.text = append(append(s.text, stock...), '\n')
	for i := range slotBytes {
		s.text = append(s.text, slotMark|byte(slot>>(6*i))&0x3f)
	}
}

// grown has room for so many slots and bytes more, and is rid of unused bytes when they are most. It shares with s nothing
// that appending to it would change.
func (s *stockNumbers) grown(slots, size int) stockNumbers {
	next := stockNumbers{text: s.text, at: grown(s.at, slots), dead: s.dead}
	if s.dead <= len(s.text)/2 || s.dead < 1<<10 {
		next.text = grown(s.text, size)
		return next
	}
	next = stockNumbers{text: make([]byte, 1, len(s.text)-s.dead+size), at: make([]uint32, len(s.at), cap(next.at))}
	next.text[0] = '\n'
	for slot := range s.at {
		if stock := s.of(uint32(slot)); stock != nil {
			next.append(uint32(slot), string(stock))
		}
	}
	return next
}

// find marks the vehicles whose stock number holds a text.
func (s *stockNumbers) find(text string, found bitset) {
	n := needleOf(text)
	for at := n.index(s.text, 0); at >= 0; at = n.index(s.text, at) {
		at += len(text)
		at += bytes.IndexByte(s.text[at:], '\n') + 1
		slot := uint32(0)
		for i := range slotBytes {
			slot |= uint32(s.text[at+i]&0x3f) << (6 * i)
		}
		found.set(slot)
		at += slotBytes
	}
}
