package inventory

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"

	"carfluence/internal/errs"
)

// The text of a cursor: base64url of a version byte, what is followed, three numbers, the VIN, and a checksum. The checksum is over
// the dealer group too, so that one of another group is as good as a mangled one. Nothing in it is secret or grants anything.
const (
	cursorForm    = 1
	checksumBytes = 4
	maxCursor     = 120 // characters
)

var followedBytes = map[byte]Followed{'a': FollowActive, 's': FollowSold, '*': FollowAll}

func (f Followed) byte() byte {
	for b, followed := range followedBytes {
		if followed == f {
			return b
		}
	}
	return 0
}

// Text is the cursor as clients of a group keep it.
func (c *Cursor) Text(group string) string {
	b := []byte{cursorForm, c.Followed.byte()}
	for _, n := range []int64{c.at.version, c.began, c.strays} {
		b = binary.AppendVarint(b, n)
	}
	b = append(b, c.at.vin...)
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, checksum(group, b)))
}

// ParseCursor reads a cursor of a group.
func ParseCursor(group, text string) (*Cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(text) > maxCursor || len(b) < 2+checksumBytes {
		return nil, errCursorMangled
	}
	b, sum := b[:len(b)-checksumBytes], b[len(b)-checksumBytes:]
	if binary.BigEndian.Uint32(sum) != checksum(group, b) {
		return nil, errCursorMangled
	}
	followed, ok := followedBytes[b[1]]
	if b[0] != cursorForm || !ok {
		return nil, errCursorExpired // of another version of the program
	}
	c, rest := &Cursor{Followed: followed}, b[2:]
	for _, n := range []*int64{&c.at.version, &c.began, &c.strays} {
		size := 0
		if *n, size = binary.Varint(rest); size <= 0 {
			return nil, errCursorMangled
		}
		rest = rest[size:]
	}
	c.at.vin = string(rest)
	return c, nil
}

func checksum(group string, b []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE([]byte(group)), crc32.IEEETable, b)
}

var (
	errCursorMangled = errs.Invalid("invalid", "The cursor can't be read.",
		errs.In("since", "is no cursor of this dealer group; send `next` of the latest answer as it came, or leave it out to start again"))
	errCursorExpired = errs.New(errs.KindExpired, "cursor_expired", "Changes since this cursor are not known any more. Start again without `since`, and replace your copy by what comes.")
)
