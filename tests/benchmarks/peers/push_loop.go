// A bare loop of requests on Go's net/http, which brings HTTP/2 along: what a service in Go would push with.
//
//	push_loop GIVEN.json
//
// GIVEN.json is what peers/push_loop.py describes. It sends the first `warm` bodies, prints `ready`, sends the others
// when it reads a line, and prints {"seconds": …, "cpu_seconds": …}.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

type given struct {
	URL      string            `json:"url"`
	CAFile   string            `json:"ca_file"`
	Headers  map[string]string `json:"headers"`
	Bodies   string            `json:"bodies"`
	InFlight int               `json:"in_flight"`
	Warm     int               `json:"warm"`
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	of := func(at syscall.Timeval) float64 { return float64(at.Sec) + float64(at.Usec)/1e6 }
	return of(usage.Utime) + of(usage.Stime)
}

func sendAll(client *http.Client, wanted given, bodies [][]byte) {
	waiting := make(chan []byte, len(bodies))
	for _, body := range bodies {
		waiting <- body
	}
	close(waiting)
	var workers sync.WaitGroup
	for range min(wanted.InFlight, len(bodies)) {
		workers.Go(func() {
			for body := range waiting {
				request := must(http.NewRequest(http.MethodPost, wanted.URL, bytes.NewReader(body)))
				for name, value := range wanted.Headers {
					request.Header.Set(name, value)
				}
				response := must(client.Do(request))
				must(io.Copy(io.Discard, response.Body))
				response.Body.Close()
				if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
					log.Fatalf("answered with %s %s", response.Proto, response.Status)
				}
			}
		})
	}
	workers.Wait()
}

func main() {
	var wanted given
	if err := json.Unmarshal(must(os.ReadFile(os.Args[1])), &wanted); err != nil {
		log.Fatal(err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(must(os.ReadFile(wanted.CAFile))) {
		log.Fatal(wanted.CAFile, " holds no certificate")
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: authorities},
		ForceAttemptHTTP2: true,
	}}
	bodies := bytes.Split(bytes.TrimSuffix(must(os.ReadFile(wanted.Bodies)), []byte("\n")), []byte("\n"))
	sendAll(client, wanted, bodies[:wanted.Warm])
	fmt.Println("ready")
	must(bufio.NewReader(os.Stdin).ReadString('\n'))
	startedAt, cpu := time.Now(), cpuSeconds()
	sendAll(client, wanted, bodies[wanted.Warm:])
	found := map[string]float64{"seconds": time.Since(startedAt).Seconds(), "cpu_seconds": cpuSeconds() - cpu}
	fmt.Println(string(must(json.Marshal(found))))
}
