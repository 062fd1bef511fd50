// Package content runs containerd's own suite for content stores against Wharfinger: at its socket in
// both modes, and through a containerd that has it as its content plugin.
package content

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	leasesapi "github.com/containerd/containerd/api/services/leases/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/content/testsuite"
	"github.com/containerd/containerd/v2/core/leases"
	leasesproxy "github.com/containerd/containerd/v2/core/leases/proxy"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// What containerd's own clients and servers let a message have.
const messageBytes = 16 << 20

func dial(t *testing.T, socket string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageBytes), grpc.MaxCallSendMsgSize(messageBytes)),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// The socket that a variable names; without one the test is skipped.
func socketIn(t *testing.T, variable string) string {
	t.Helper()
	socket := os.Getenv(variable)
	if socket == "" {
		t.Skipf("%s names no socket", variable)
	}
	return socket
}

// Leaves a store as empty as it was.
func purge(ctx context.Context, store content.Store) error {
	var known []content.Info
	err := store.Walk(ctx, func(info content.Info) error {
		known = append(known, info)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, info := range known {
		if err := store.Delete(ctx, info.Digest); err != nil {
			return fmt.Errorf("delete %s: %w", info.Digest, err)
		}
	}
	statuses, err := store.ListStatuses(ctx)
	if err != nil {
		return fmt.Errorf("list statuses: %w", err)
	}
	for _, status := range statuses {
		if err := store.Abort(ctx, status.Ref); err != nil {
			return fmt.Errorf("abort %s: %w", status.Ref, err)
		}
	}
	return nil
}

// TestPlugin has no namespaces, as a proxy plugin has none.
func TestPlugin(t *testing.T) {
	store := proxy.NewContentStore(contentapi.NewContentClient(dial(t, socketIn(t, "CONTENT_PLUGIN"))))
	testsuite.ContentSuite(t, "plugin", func(ctx context.Context, _ string) (context.Context, content.Store, func() error, error) {
		return ctx, store, func() error { return purge(ctx, store) }, nil
	})
}

var namespaceNumber atomic.Int64

// Puts a context into a namespace that nobody has used.
func inNamespace(ctx context.Context) context.Context {
	name := fmt.Sprintf("suite-%d-%d", time.Now().UnixNano(), namespaceNumber.Add(1))
	return namespaces.WithNamespace(ctx, name)
}

// TestDirect gives each test a namespace of its own; what one has, another does not see.
func TestDirect(t *testing.T) {
	store := proxy.NewContentStore(contentapi.NewContentClient(dial(t, socketIn(t, "CONTENT_DIRECT"))))
	wrap := func(ctx context.Context, _ bool) (context.Context, func(context.Context) error, error) {
		ctx = inNamespace(ctx)
		return ctx, func(context.Context) error { return purge(ctx, store) }, nil
	}
	open := func(ctx context.Context, _ string) (context.Context, content.Store, func() error, error) {
		return testsuite.SetContextWrapper(ctx, wrap), store, func() error { return nil }, nil
	}
	testsuite.ContentSuite(t, "direct", open)
	testsuite.ContentCrossNSIsolatedSuite(t, "direct", open)
}

// TestThroughContainerd runs against a containerd that has Wharfinger as its content plugin. Each
// test holds what it writes by a lease: containerd collects what nobody holds.
func TestThroughContainerd(t *testing.T) {
	connection := dial(t, socketIn(t, "CONTENT_CONTAINERD"))
	store := proxy.NewContentStore(contentapi.NewContentClient(connection))
	manager := leasesproxy.NewLeaseManager(leasesapi.NewLeasesClient(connection))
	wrap := func(ctx context.Context, _ bool) (context.Context, func(context.Context) error, error) {
		ctx = inNamespace(ctx)
		lease, err := manager.Create(ctx, leases.WithRandomID(), leases.WithExpiration(time.Hour))
		if err != nil {
			return nil, nil, err
		}
		ctx = leases.WithLease(ctx, lease.ID)
		return ctx, func(ctx context.Context) error {
			return manager.Delete(ctx, lease, leases.SynchronousDelete)
		}, nil
	}
	open := func(ctx context.Context, _ string) (context.Context, content.Store, func() error, error) {
		return testsuite.SetContextWrapper(ctx, wrap), store, func() error { return nil }, nil
	}
	testsuite.ContentSuite(t, "containerd", open)
	testsuite.ContentCrossNSSharedSuite(t, "containerd", open)
}
