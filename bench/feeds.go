package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// importScript has sqlite3 load a file as the embedded store has to: with the settings of its connections, the key
// of vehicle, and the four indexes of vehicle and vehicle_source that a file changes. Expressions stand for what is not
// in the file: dealer group, dealership, source, status, time, and the text that searches look through.
const importScript = `PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -8000;
PRAGMA temp_store = MEMORY;
CREATE TABLE feed (%s);
CREATE UNIQUE INDEX feed_key ON feed ('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || '', VIN);
CREATE INDEX feed_status ON feed ('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || '', 'active' || '', 1764000000000000 + 0 DESC, VIN, lower(VIN || char(10) || Make || char(10) || Model || char(10) || "Stock #"));
CREATE INDEX feed_created ON feed ('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || '', 1764000000000000 + 0 DESC, VIN, lower(VIN || char(10) || Make || char(10) || Model || char(10) || "Stock #"));
CREATE INDEX feed_dealership ON feed ('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || '', '0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c01' || '');
CREATE INDEX feed_list ON feed ('0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c00' || '', '0199d5a0-5d2c-7c3f-9b64-0e2f6a3b1c02' || '', 1764000000000000 + 0 DESC, VIN, 'active' || '');
.import --csv --skip 1 %s feed
SELECT count(*) FROM feed;
`

// sqlite3Import loads the file with sqlite3 into a new database and tells how long that took.
func (b *bench) sqlite3Import(file string) (time.Duration, error) {
	header, err := firstLine(file)
	if err != nil {
		return 0, err
	}
	columns := `"` + strings.ReplaceAll(header, ",", `" TEXT, "`) + `" TEXT`
	path := filepath.Join(b.dir, "import.db")
	defer removeStore(path)
	cmd := exec.CommandContext(b.ctx, "sqlite3", "-batch", "-bail", path)
	cmd.Stdin = strings.NewReader(fmt.Sprintf(importScript, columns, strconv.Quote(file)))
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), strconv.Itoa(*feedRows)) {
		return 0, fmt.Errorf("sqlite3: %w\n%s", errors.Join(err, errors.New("not every row is there")), out)
	}
	return took, nil
}

func removeStore(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}

func firstLine(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	return line, nil
}

// feeds compares an integration's file, uploaded to the running server and waited for, with sqlite3's .import of it.
func (b *bench) feeds(w io.Writer) error {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		fmt.Fprintf(w, "Feeds were left out: there is no sqlite3 to compare with.\n\n")
		return nil
	}
	file, changed := filepath.Join(b.dir, "stock.csv"), filepath.Join(b.dir, "changed.csv")
	if err := errors.Join(writeFeed(file, *feedRows), writeFeed(changed, *feedRows)); err != nil {
		return err
	}
	if err := changeLastPrice(changed); err != nil {
		return err
	}
	r := &feedResults{}
	for round := range *feedRounds {
		if err := b.feedRound(r, fmt.Sprintf("feeds-%d", round), file, changed); err != nil {
			return err
		}
	}
	base := median(r.sqlite3)
	fmt.Fprintf(w, "| file of %d rows over HTTP, sent to completed (rounds: %d) | seconds | rows/s | times sqlite3 .import (%.2f s) | goal |\n| --- | --- | --- | --- | --- |\n", *feedRows, *feedRounds, base)
	for _, line := range []struct {
		what    string
		seconds []float64
		ratios  []float64
		goal    string
	}{
		{"first load", r.first, r.firstRatio, "4"}, {"the same file again", r.again, r.againRatio, "0.6"}, {"the same rows but one, other bytes", r.other, r.otherRatio, ""},
	} {
		fmt.Fprintf(w, "| %s | %.2f | %.0f | %.2f | %s |\n", line.what, median(line.seconds), float64(*feedRows)/median(line.seconds), median(line.ratios), line.goal)
	}
	fmt.Fprintf(w, "\nResident memory at most %.0f MiB over these loads. From close on the SFTP handle to visible in `GET /inventory`, 500 rows: %.0f ms (median of %d), of another integration with these vehicles in the inventory.\n\n",
		median(r.peak), 1000*median(r.visible), len(r.visible))
	return nil
}

type feedResults struct {
	sqlite3, first, again, other       []float64 // seconds
	firstRatio, againRatio, otherRatio []float64
	peak                               []float64 // MiB
	visible                            []float64 // seconds
}

// changeLastPrice makes the price in the file's last row another one.
func changeLastPrice(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	const tail = 400
	end, err := f.Seek(-tail, io.SeekEnd)
	if err != nil {
		return err
	}
	text := make([]byte, tail)
	if _, err := io.ReadFull(f, text); err != nil {
		return err
	}
	const before = "Gasoline,"
	at := bytes.LastIndex(text, []byte(before)) + len(before)
	text[at] = text[at]%9 + '1' // a digit becomes another one
	_, err = f.WriteAt(text[at:at+1], end+int64(at))
	return err
}

// feedRound measures all of them once, on a data folder of its own.
func (b *bench) feedRound(r *feedResults, name, file, changed string) error {
	base, err := b.sqlite3Import(file)
	if err != nil {
		return err
	}
	own := &bench{ctx: b.ctx, dir: b.dir, data: filepath.Join(b.dir, name), binary: b.binary}
	defer os.RemoveAll(own.data)
	s, err := own.start()
	if err != nil {
		return err
	}
	defer s.kill()
	in, err := s.integrate(own)
	if err != nil {
		return err
	}
	r.sqlite3 = append(r.sqlite3, base.Seconds())
	for i, step := range []struct {
		file            string
		seconds, ratios *[]float64
	}{{file, &r.first, &r.firstRatio}, {file, &r.again, &r.againRatio}, {changed, &r.other, &r.otherRatio}} {
		took, err := in.load(b, step.file, i+1)
		if err != nil {
			return err
		}
		*step.seconds, *step.ratios = append(*step.seconds, took.Seconds()), append(*step.ratios, took.Seconds()/base.Seconds())
	}
	r.peak = append(r.peak, float64(s.memory("VmHWM")>>20))
	small, err := in.another() // a file of 500 rows from the first one would not list nearly all it lists
	if err != nil {
		return err
	}
	for i := range 10 {
		took, err := small.drop(i)
		if err != nil {
			return err
		}
		r.visible = append(r.visible, took.Seconds())
	}
	return nil
}

// integration is one under measurement, with the key of who looks at it.
type integration struct {
	p               *process
	key, dealer, id string
	sftp            sftpLogin
}

type sftpLogin struct {
	Host, Username, Password, HostKeyFingerprint string
	Port                                         int
}

// integrate makes a dealership with an integration, and the key to look at it.
func (p *process) integrate(b *bench) (*integration, error) {
	out, err := b.command("key", "create", "feeds", "--scopes", "inventory:read,dealers:write,integrations:read,integrations:write,rules:write", "--rate-limit-per-hour", "1000000").Output()
	if err != nil {
		return nil, fmt.Errorf("key: %w\n%s", err, exitText(err))
	}
	in := &integration{p: p, key: strings.TrimSpace(string(out))}
	var made struct{ Dealer struct{ ID string } }
	if err := in.call("POST", "/dealers", strings.NewReader(`{"name":"Bench Motors"}`), &made); err != nil {
		return nil, err
	}
	in.dealer = made.Dealer.ID
	return in, in.create("bench")
}

// another is a second integration of the same dealership.
func (in *integration) another() (*integration, error) {
	more := *in
	return &more, more.create("bench, dropped")
}

func (in *integration) create(name string) error {
	var made struct {
		Integration struct{ ID string }
		SFTP        sftpLogin
	}
	body := fmt.Sprintf(`{"dealershipId":%q,"type":"custom","name":%q}`, in.dealer, name)
	if err := in.call("POST", "/integrations", strings.NewReader(body), &made); err != nil {
		return err
	}
	in.id, in.sftp = made.Integration.ID, made.SFTP
	return nil
}

// call asks the API and decodes the answer.
func (in *integration) call(method, path string, body io.Reader, into any) error {
	req, err := http.NewRequest(method, in.p.url+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", in.key)
	req.Header.Set("Content-Type", "application/json")
	if _, isFile := body.(*os.File); isFile {
		req.Header.Set("Content-Type", "text/csv")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, path, res.Status, text)
	}
	return json.Unmarshal(text, into)
}

// load sends a file, the n-th, and waits until it is processed.
func (in *integration) load(b *bench, path string, n int) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	begin := time.Now()
	var sent struct{ Log struct{ ID string } }
	if err := in.call("POST", "/integrations/"+in.id+"/files?filename=stock.csv", f, &sent); err != nil {
		return 0, err
	}
	for {
		var got struct {
			Log struct {
				Status string
				Detail *string
				Total  int `json:"records_total"`
			}
		}
		if err := in.call("GET", "/integrations/"+in.id+"/logs/"+sent.Log.ID, nil, &got); err != nil {
			return 0, err
		}
		switch got.Log.Status {
		case "completed":
			if got.Log.Total != *feedRows {
				return 0, fmt.Errorf("file %d: %d rows, want %d", n, got.Log.Total, *feedRows)
			}
			return time.Since(begin), nil
		case "queued", "running":
		default:
			return 0, fmt.Errorf("file %d: %+v", n, got.Log)
		}
		select {
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// drop puts a small file by SFTP and tells how long it took from close on the handle until the list shows it.
func (in *integration) drop(n int) (time.Duration, error) {
	const rows = 500
	path := filepath.Join(os.TempDir(), fmt.Sprintf("carfluence-bench-%d.csv", os.Getpid()))
	defer os.Remove(path)
	if err := writeFeed(path, rows); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	price := fmt.Sprintf("%d", 90_000+n) // nothing else costs it
	text = append(text, fmt.Sprintf("%s,D%06d,U,2020,Ford,F-150,XLT,Truck,1,Black,Black,8-Speed Automatic,AWD,Gasoline,%s,%s,01/01/2026,dropped\n", benchVIN("9BD", n), n, price, price)...)
	address := net.JoinHostPort(in.sftp.Host, strconv.Itoa(in.sftp.Port))
	conn, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: in.sftp.Username, Auth: []ssh.AuthMethod{ssh.Password(in.sftp.Password)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if got := ssh.FingerprintSHA256(key); got != in.sftp.HostKeyFingerprint {
				return fmt.Errorf("host key %s", got)
			}
			return nil
		},
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	client, err := sftp.NewClient(conn)
	if err != nil {
		return 0, err
	}
	f, err := client.Create("dropped.csv")
	if err != nil {
		return 0, err
	}
	if _, err := f.Write(text); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f.Close(); err != nil {
		return 0, err
	}
	for time.Since(begin) < time.Minute {
		var list struct{ Pagination struct{ Total int } }
		if err := in.call("GET", "/inventory?limit=1&search="+benchVIN("9BD", n), nil, &list); err != nil {
			return 0, err
		}
		if list.Pagination.Total == 1 {
			return time.Since(begin), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, errors.New("a dropped file is not visible after a minute")
}
