package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"carfluence/internal/sqldb"
)

// TestADroppedFileIsInventory measures the time from close on the SFTP handle until GET /inventory shows the
// file: the median is reported, and meant to be under two seconds on a quiet machine.
func TestADroppedFileIsInventory(t *testing.T) {
	const rows = 500
	s := serve(t, t.TempDir())
	key := s.feedKey()
	x := s.source(key, s.dealer(key, "Drop Motors"), "dropped")
	if x.logs() != nil {
		t.Errorf("an unused integration has logs: %v", x.logs())
	}
	client := x.dropper()
	var waits []time.Duration
	drops := rounds(5, 30)
	for i := range drops {
		price := fmt.Sprintf("%d.00", 20_000+i)
		f, err := client.Create("stock.csv")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, feedText("1FT", rows, 20_000+i, "One owner.")); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the file is inventory", 10*time.Second, func() bool {
			r := s.must(200, "GET", fmt.Sprintf("/api/v1/inventory?limit=1&offset=%d", rows-1), "", key)
			list, _ := r.json("vehicles").([]any)
			if len(list) != 1 {
				return false
			}
			v, _ := list[0].(map[string]any)
			return v["price"] == price
		})
		waits = append(waits, time.Since(begun))
	}
	slices.Sort(waits)
	t.Logf("close to visible, %d rows: median %s, %s to %s in %d drops", rows, ms(waits[len(waits)/2]), ms(waits[0]), ms(waits[len(waits)-1]), drops)

	logs := x.finished(drops, 10*time.Second)
	for i, l := range logs {
		created, updated := 0, rows
		if i == drops-1 {
			created, updated = rows, 0
		}
		if l.text("status") != "completed" || l.count("records_total") != rows || l.count("records_created") != created || l.count("records_updated") != updated || l.count("records_errors") != 0 {
			t.Errorf("%v", l)
		}
	}
	if kinds := x.history(vinOf("1FT", 7)); len(kinds) != drops || kinds[0] != "created" || kinds[drops-1] != "price_change" {
		t.Errorf("history: %v", kinds)
	}
	if names, err := client.ReadDir("/"); err != nil || len(names) != 1 || names[0].Name() != "stock.csv" {
		t.Errorf("the sender sees %v, %v", names, err)
	}
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// TestClientDropsAFile is the whole way with OpenSSH's client and a key made known over HTTP.
func TestClientDropsAFile(t *testing.T) {
	t.Parallel()
	program, keygen := command(t, "sftp"), command(t, "ssh-keygen")
	s := serve(t, t.TempDir())
	key := s.feedKey()
	x := s.source(key, s.dealer(key, "Drop Motors"), "dropped")
	dir := t.TempDir()
	if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-C", "vendor", "-f", filepath.Join(dir, "key")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	s.must(201, "POST", "/api/v1/integrations/"+x.id+"/ssh-keys", fmt.Sprintf(`{"name":"vendor","publicKey":%q}`, strings.TrimSpace(string(public))), key)
	if err := os.WriteFile(filepath.Join(dir, "stock.csv"), []byte(feedText("1FT", 100, 25_000, "One owner.")), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(x.address)
	drop := exec.Command(program, "-F", "none", "-i", "key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known_hosts"),
		"-o", "StrictHostKeyChecking=accept-new", "-P", port, "-b", "-", x.username+"@"+host)
	drop.Dir, drop.Env, drop.Stdin = dir, append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK="), strings.NewReader("put stock.csv stock.part\nrename stock.part stock.csv\n")
	if out, err := drop.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	l := x.finished(1, 15*time.Second)[0]
	if l.text("filename") != "stock.csv" || l.text("status") != "completed" || l.count("records_created") != 100 {
		t.Errorf("%v", l)
	}
	x.lists(100)
}

// wide is a feed of about five megabytes.
func wide(maker string) (text string, rows int) {
	const bytes, description = 5_000_000, 2500
	rows = bytes / description
	return feedText(maker, rows, 25_000, strings.Repeat("One owner. ", description/11)), rows
}

// TestCutUploads breaks the connection in an upload after every 64 KiB, and resumes it.
func TestCutUploads(t *testing.T) {
	t.Parallel()
	const step = 64 << 10
	s := serve(t, t.TempDir())
	key := s.feedKey()
	dealer := s.dealer(key, "Cut Motors")
	size, _ := wide("0AA")
	last := len(size) / step
	cuts := []int{1, last / 2, last}
	if soak() {
		cuts = nil
		for n := range last + 1 {
			cuts = append(cuts, n)
		}
	}
	for i, n := range cuts {
		text, rows := wide(fmt.Sprintf("C%02d", i))
		x := s.source(key, dealer, fmt.Sprintf("cut %d", n))
		x.cut(t, "stock.csv", text, int64(n)*step)
		if logs := x.logs(); len(logs) != 0 || x.listed() != 0 {
			t.Errorf("cut after %d bytes: %v, %d vehicles", n*step, logs, x.listed())
		}
		from := x.resume(t, "stock.csv", text)
		if want := int64(n) * step; from > want || want-from > 8*32<<10 {
			t.Errorf("cut after %d bytes, resumed from %d", want, from)
		}
		l := x.finished(1, 60*time.Second)[0]
		if sum := x.log(l.text("id")).text("sha256"); sum != sha(text) || l.text("status") != "completed" || l.count("records_created") != rows {
			t.Errorf("cut after %d bytes, resumed from %d: %v, sha256 %s, want %s", n*step, from, l, sum, sha(text))
		}
		x.lists(rows)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d cuts in an upload of %d bytes", len(cuts), len(size))
}

// cut uploads a file whose connection breaks after so many bytes on the wire.
func (x *source) cut(t *testing.T, name, text string, after int64) {
	t.Helper()
	c := x.dropper()
	f, err := c.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	c.wire.left = after
	for rest := text; err == nil; { // in order, so that what is there has no gaps
		n := min(len(rest), 32<<10)
		if n == 0 {
			t.Fatalf("the connection was not cut after %d bytes", after)
		}
		_, err = f.Write([]byte(rest[:n]))
		rest = rest[n:]
	}
	_ = f.Close()
	_ = c.ssh.Close()
}

// resume uploads the rest of a file from where the server says, once it has let go of the cut connection.
func (x *source) resume(t *testing.T, name, text string) (from int64) {
	t.Helper()
	c := x.dropper()
	defer c.ssh.Close() // of one address only so many are let in
	eventually(t, "the cut upload can be resumed", 10*time.Second, func() bool {
		from = 0
		if info, err := c.Stat(name); err == nil {
			from = info.Size()
		}
		f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE)
		if err != nil {
			return false
		}
		if info, err := f.Stat(); err == nil {
			from = info.Size()
		}
		_, err = f.Seek(from, io.SeekStart)
		if err == nil {
			_, err = io.WriteString(f, text[from:])
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatalf("resume from %d: %v", from, err)
		}
		return true
	})
	return from
}

// TestManySenders has fifty clients of ten integrations send at once: half of them files of their own, half
// files of the same name. Every row carries its sender's mark.
func TestManySenders(t *testing.T) {
	t.Parallel()
	const integrations, clients, rows = 10, 5, 60
	data := t.TempDir()
	s := serve(t, data)
	key := s.feedKey()
	dealer := s.dealer(key, "Many Motors")
	content := func(i, c int) string {
		return feedText(fmt.Sprintf("M%02d", i), rows, 10_000+100*i+c, fmt.Sprintf("Sent by %d of %d. %s", c, i, strings.Repeat("x", 200)))
	}
	var sources []*source
	for i := range integrations {
		sources = append(sources, s.source(key, dealer, fmt.Sprintf("many %d", i)))
	}
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i, x := range sources {
		for c := range clients {
			wg.Go(func() {
				client, err := x.connect(fmt.Sprintf("127.0.%d.%d", 1+i, 1+c)) // of one address only so many are let in
				if err != nil {
					t.Error(err)
					return
				}
				defer client.ssh.Close()
				<-begin
				if err := client.dripped(senderFile(i, c), content(i, c)); err != nil {
					t.Errorf("client %d of integration %d: %v", c, i, err)
				}
			})
		}
	}
	time.Sleep(200 * time.Millisecond)
	close(begin)
	wg.Wait()
	for i, x := range sources {
		sums := map[string]int{} // of the integration's files → how often they were received
		for c := range clients {
			sums[sha(content(i, c))] = 0
		}
		for _, l := range x.finished(clients, 60*time.Second) {
			l = x.log(l.text("id"))
			if n, known := sums[l.text("sha256")]; !known || n != 0 {
				t.Errorf("integration %d: %v is not what one of its clients has sent, or came twice", i, l)
			}
			sums[l.text("sha256")]++
			if l.text("status") != "completed" || l.count("records_total") != rows || l.count("records_errors") != 0 {
				t.Errorf("%v", l)
			}
		}
		stock := stockOf(t, data, fmt.Sprintf("M%02d", i))
		price, _ := strconv.Atoi(strings.TrimSuffix(stock.whole(t, rows), ".00"))
		if stock.total != rows || stock.entries != 2*(clients-1)*rows || (price-10_000)/100 != i {
			t.Errorf("integration %d: %+v", i, stock)
		}
	}
	checkMarks(t, data)
}

func senderFile(i, c int) string {
	if i%2 == 0 {
		return fmt.Sprintf("from-%d-%d.csv", i, c)
	}
	return "stock.csv"
}

// dripped uploads a file in small pieces, so that others come between, and tries again while somebody else
// uploads one of the same name.
func (d *dropper) dripped(name, text string) (err error) {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		f, openErr := d.Create(name)
		if openErr != nil {
			if time.Now().After(end) {
				return openErr
			}
			continue
		}
		for rest := text; rest != "" && err == nil; {
			n := min(len(rest), 1000)
			_, err = f.Write([]byte(rest[:n]))
			rest = rest[n:]
			time.Sleep(time.Millisecond)
		}
		return errors.Join(err, f.Close())
	}
}

// checkMarks holds each entry of the histories, of a price or of a description, against the vehicle and the name of
// the file it came from.
func checkMarks(t *testing.T, data string) {
	t.Helper()
	withStock(t, data, func(stock *sqldb.Tenant) error {
		rows, err := stock.Query(t.Context(), `SELECT vin, file, changed_fields FROM vehicle_history WHERE dealer_group_id = $1`)
		_, err = sqldb.Collect(rows, err, func(r *sqldb.Rows) (struct{}, error) {
			var vin, file, changed string
			var fields struct{ Price, Description struct{ New string } }
			if err := errors.Join(r.Scan(&vin, &file, &changed), json.Unmarshal([]byte(changed), &fields)); err != nil {
				return struct{}{}, err
			}
			price, description := fields.Price.New, fields.Description.New
			i, c := -1, -1
			if n, err := strconv.Atoi(strings.TrimSuffix(price, ".00")); err == nil {
				i, c = (n-10_000)/100, (n-10_000)%100
			} else if _, err := fmt.Sscanf(description, "Sent by %d of %d.", &c, &i); err != nil {
				return struct{}{}, fmt.Errorf("%s: an entry without a mark", vin)
			}
			if file != senderFile(i, c) || !strings.HasPrefix(vin, fmt.Sprintf("M%02d", i)) {
				return struct{}{}, fmt.Errorf("%s: an entry of %s has the price %q and the description %.30q", vin, file, price, description)
			}
			return struct{}{}, nil
		})
		return err
	})
}

// TestEndedLogins takes away the logins of connected clients in the middle of an upload.
func TestEndedLogins(t *testing.T) {
	t.Parallel()
	const rows = 50
	s := serve(t, t.TempDir())
	key := s.feedKey()
	dealer := s.dealer(key, "Ended Motors")
	type sender struct {
		*source
		client *dropper
		finish func() error
		ended  chan time.Time
	}
	var all [4]sender // rotated, deleted, paused, unharmed
	for i := range all {
		x := s.source(key, dealer, fmt.Sprintf("ended %d", i))
		c, text := x.dropper(), feedText(fmt.Sprintf("E%02d", i), rows, 25_000, "One owner.")
		f, err := c.Create("stock.csv")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text[:2000]); err != nil {
			t.Fatal(err)
		}
		all[i] = sender{x, c, func() error {
			_, err := io.WriteString(f, text[2000:])
			return errors.Join(err, f.Close())
		}, make(chan time.Time, 1)}
		go func() { _ = c.ssh.Wait(); all[i].ended <- time.Now() }()
	}
	rotated, deleted, paused, unharmed := &all[0], &all[1], &all[2], &all[3]
	begun := time.Now()
	password := s.must(200, "POST", "/api/v1/integrations/"+rotated.id+"/credentials", "", key).text("sftp.password")
	s.must(204, "DELETE", "/api/v1/integrations/"+deleted.id, "", key)
	s.must(200, "PATCH", "/api/v1/integrations/"+paused.id, `{"status":"paused"}`, key)
	for what, x := range map[string]*sender{"rotated": rotated, "deleted": deleted, "paused": paused} {
		if c, err := x.connect(""); err == nil {
			t.Errorf("%s: the old login was let in", what)
			_ = c.ssh.Close()
		} else if !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("%s: %v", what, err)
		}
		select {
		case at := <-x.ended:
			t.Logf("%s: cut after %s", what, ms(at.Sub(begun)))
			if at.Sub(begun) > 5*time.Second { // a check a second, and a busy machine
				t.Errorf("%s: cut only after %s", what, at.Sub(begun))
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the connection goes on", what)
		}
		if err := x.finish(); err == nil {
			t.Errorf("%s: the upload was taken", what)
		}
	}
	if err := unharmed.finish(); err != nil {
		t.Errorf("somebody else's upload: %v", err)
	}
	if l := unharmed.finished(1, 15*time.Second)[0]; l.count("records_created") != rows {
		t.Errorf("%v", l)
	}
	unharmed.lists(rows)
	if n := s.must(200, "GET", "/api/v1/inventory?status=all&limit=1", "", key).json("pagination.total"); n != float64(rows) {
		t.Errorf("%v vehicles, want those of the unharmed one alone", n)
	}
	s.must(404, "GET", "/api/v1/integrations/"+deleted.id, "", key)
	if r, err := paused.upload("stock.csv", strings.NewReader("VIN\n")); err != nil || r.StatusCode != 409 || r.text("code") != "integration_paused" {
		t.Errorf("an upload to a paused integration: %v %s", err, r.body)
	}
	s.must(200, "PATCH", "/api/v1/integrations/"+paused.id, `{"status":"active"}`, key)
	rotated.password = password
	for i, x := range []*sender{rotated, paused} {
		if err := x.dropper().put("again.csv", feedText(fmt.Sprintf("F%02d", i), rows, 25_000, "One owner.")); err != nil {
			t.Errorf("let in again: %v", err)
			continue
		}
		if l := x.finished(1, 15*time.Second)[0]; l.count("records_created") != rows {
			t.Errorf("%v", l)
		}
	}
}
