package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

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

const integrationScopes = "inventory:read,dealers:write,integrations:read,integrations:write,rules:write"

// founded makes the dealer group and a key for its integrations.
func (p *place) founded() error {
	if err := p.found(); err != nil {
		return err
	}
	return p.makeKeys(1, integrationScopes)
}

// integrate makes the dealerships that the files name, and an integration; the key must have integrationScopes. Rows that name unknown
// ones would be read again with each file, to be warned of.
func (p *process) integrate(key string) (*integration, error) {
	in := &integration{p: p, key: key}
	for i := range dealerships {
		var made struct{ Dealer struct{ ID string } }
		if err := in.call("POST", "/dealers", strings.NewReader(fmt.Sprintf(`{"name":%q}`, dealershipOf(i))), &made); err != nil {
			return nil, err
		}
		in.dealer = made.Dealer.ID
	}
	return in, in.create("bench")
}

// indexed waits until lists with filters show all that has been written: an export is of the state at its call.
func (in *integration) indexed() error {
	req, err := http.NewRequest("GET", in.p.url+"/api/v1/inventory/export?make=Ford&fields=vin", nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", in.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("export: %s", res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
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

// load sends a file of so many rows and tells how long it took until it was processed.
func (in *integration) load(path string, rows int) (seconds float64, err error) {
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
				Status        string
				Detail        *string
				RecordsTotal  int `json:"records_total"`
				RecordsErrors int `json:"records_errors"`
			}
		}
		if err := in.call("GET", "/integrations/"+in.id+"/logs/"+sent.Log.ID, nil, &got); err != nil {
			return 0, err
		}
		switch got.Log.Status {
		case "completed":
			if got.Log.RecordsTotal != rows || got.Log.RecordsErrors != 0 {
				return 0, fmt.Errorf("%d rows and %d errors, want %d and none", got.Log.RecordsTotal, got.Log.RecordsErrors, rows)
			}
			return time.Since(begin).Seconds(), nil
		case "queued", "running":
		default:
			return 0, fmt.Errorf("a file ended as %+v", got.Log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// drop puts a small file by SFTP and tells how long it took from close on the handle until the list shows it.
func (in *integration) drop(n int) (ms float64, err error) {
	const rows = 500
	number := 990_000 + n
	text := &strings.Builder{}
	if err := writeFeed(text, 0, rows, 0); err != nil {
		return 0, err
	}
	more := &strings.Builder{}
	if err := writeFeed(more, number, 1, 0); err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(more.String(), "\n")
	text.WriteString(strings.Replace(line, ",Sold,", ",Active,", 1))
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
	if _, err := f.Write([]byte(text.String())); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := f.Close(); err != nil {
		return 0, err
	}
	for time.Since(begin) < time.Minute {
		var list struct{ Pagination struct{ Total int } }
		if err := in.call("GET", "/inventory?limit=1&integration_id="+in.id+"&search="+vinOf(number), nil, &list); err != nil {
			return 0, err
		}
		if list.Pagination.Total == 1 {
			return 1000 * time.Since(begin).Seconds(), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, errors.New("a dropped file is not visible after a minute")
}
