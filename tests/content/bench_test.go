package content

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	mib = 1 << 20
	// What is written and read in one round.
	blobBytes = 256 * mib
	// What an ingest holds that is opened again.
	partialBytes = 1024 * mib
	// What is read in small pieces in one round, and how small: containerd unpacks so.
	piecesBytes = 64 * mib
	pieceBytes  = 32 << 10
	// How often a blob is asked about in one round.
	infos  = 1000
	rounds = 3
)

// subject is a socket that is measured.
type subject struct {
	name   string
	ctx    context.Context
	client contentapi.ContentClient
	store  content.Store
}

// TestBench measures the sockets that CONTENT_BENCH names, as NAME=SOCKET,…, in turns. It prints a line
// `bench NAME ROW VALUE` for each figure.
func TestBench(t *testing.T) {
	named := os.Getenv("CONTENT_BENCH")
	if named == "" {
		t.Skip("CONTENT_BENCH names no sockets")
	}
	var subjects []*subject
	for _, pair := range strings.Split(named, ",") {
		name, socket, ok := strings.Cut(pair, "=")
		if !ok {
			t.Fatalf("%q is not NAME=SOCKET", pair)
		}
		subjects = append(subjects, connect(t, name, socket))
	}
	chunk := make([]byte, mib)
	if _, err := rand.Read(chunk); err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		writer := s.open(t, "partial")
		s.fill(t, writer, chunk, partialBytes)
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for round := range rounds {
		for _, s := range subjects {
			s.round(t, round, chunk)
		}
	}
}

func connect(t *testing.T, name, socket string) *subject {
	connection := dial(t, socket)
	client := contentapi.NewContentClient(connection)
	ctx := namespaces.WithNamespace(t.Context(), "bench")
	// A containerd collects what nobody holds; other stores have no leases.
	manager := leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(connection))
	if lease, err := manager.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour)); err == nil {
		ctx = leases.WithLease(ctx, lease.ID)
	}
	return &subject{name, ctx, client, proxy.NewContentStore(client)}
}

func (s *subject) tell(row string, value float64) {
	fmt.Printf("bench %s %s %.4f\n", s.name, row, value)
}

// Tells how fast something was that has moved length bytes since began, in MiB/s.
func (s *subject) tellSpeed(row string, began time.Time, length int) {
	s.tell(row, float64(length)/mib/time.Since(began).Seconds())
}

// Tells how long each of some calls has taken, in milliseconds.
func (s *subject) tellTime(row string, began time.Time, calls int) {
	s.tell(row, time.Since(began).Seconds()*1000/float64(calls))
}

func (s *subject) open(t *testing.T, ref string) content.Writer {
	t.Helper()
	writer, err := content.OpenWriter(s.ctx, s.store, content.WithRef(ref))
	if err != nil {
		t.Fatalf("%s: open %s: %v", s.name, ref, err)
	}
	return writer
}

func (s *subject) fill(t *testing.T, writer io.Writer, chunk []byte, length int) {
	t.Helper()
	for written := 0; written < length; written += len(chunk) {
		if _, err := writer.Write(chunk); err != nil {
			t.Fatalf("%s: write: %v", s.name, err)
		}
	}
}

func (s *subject) round(t *testing.T, round int, chunk []byte) {
	// Each round has a blob of its own, so that none is there already.
	chunk = bytes.Clone(chunk)
	copy(chunk, fmt.Sprintf("round %d", round))
	began := time.Now()
	writer := s.open(t, fmt.Sprintf("whole-%d", round))
	s.fill(t, writer, chunk, blobBytes)
	s.tellSpeed("write", began, blobBytes)
	began = time.Now()
	blob := writer.Digest()
	if err := writer.Commit(s.ctx, blobBytes, blob); err != nil {
		t.Fatalf("%s: commit: %v", s.name, err)
	}
	s.tellTime("commit", began, 1)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}

	began = time.Now()
	writer = s.open(t, "partial")
	s.tellTime("reopen", began, 1)
	status, err := writer.Status()
	if err != nil || status.Offset != partialBytes {
		t.Fatalf("%s: the ingest stands at %d: %v", s.name, status.Offset, err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}

	s.readPieces(t, blob)
	s.readWhole(t, blob)
	began = time.Now()
	for range infos {
		if _, err := s.store.Info(s.ctx, blob); err != nil {
			t.Fatalf("%s: info: %v", s.name, err)
		}
	}
	s.tellTime("info", began, infos)
}

func (s *subject) readPieces(t *testing.T, blob digest.Digest) {
	reader, err := s.store.ReaderAt(s.ctx, ocispec.Descriptor{Digest: blob})
	if err != nil {
		t.Fatalf("%s: reader: %v", s.name, err)
	}
	defer reader.Close()
	piece := make([]byte, pieceBytes)
	began := time.Now()
	for offset := int64(0); offset < piecesBytes; offset += pieceBytes {
		if _, err := reader.ReadAt(piece, offset); err != nil {
			t.Fatalf("%s: read: %v", s.name, err)
		}
	}
	s.tellSpeed("pieces", began, piecesBytes)
}

func (s *subject) readWhole(t *testing.T, blob digest.Digest) {
	began := time.Now()
	stream, err := s.client.Read(s.ctx, &contentapi.ReadContentRequest{Digest: blob.String()})
	if err != nil {
		t.Fatalf("%s: read: %v", s.name, err)
	}
	length := 0
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: read: %v", s.name, err)
		}
		length += len(message.Data)
	}
	if length != blobBytes {
		t.Fatalf("%s: read %d bytes", s.name, length)
	}
	s.tellSpeed("stream", began, length)
}
