// Package remote runs commands and copies files over SSH.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/retry"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	defaultUser           = "root"
	defaultPort           = 22
	defaultDialErrorLimit = 10
	defaultPerDialTimeout = 15 // seconds
	unlimitedDialErrors   = -1
)

// Connection says how to reach and enter a host, by way of another one if proxy is set.
type Connection struct {
	Endpoint
	Proxy *Proxy `pulumi:"proxy,optional"`
}

// Proxy is a host that connections are tunnelled through.
type Proxy struct{ Endpoint }

// Endpoint is one SSH server and the credentials for it.
type Endpoint struct {
	User               *string  `pulumi:"user,optional"`
	Password           *string  `pulumi:"password,optional" provider:"secret"`
	Host               *string  `pulumi:"host"`
	Port               *float64 `pulumi:"port,optional"`
	PrivateKey         *string  `pulumi:"privateKey,optional" provider:"secret"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional" provider:"secret"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
}

// Annotate sets the defaults.
func (c *Connection) Annotate(a infer.Annotator) { c.annotate(a) }

// Annotate sets the defaults.
func (c *Proxy) Annotate(a infer.Annotator) { c.annotate(a) }

func (e *Endpoint) annotate(a infer.Annotator) {
	a.SetDefault(&e.User, defaultUser)
	a.SetDefault(&e.Port, defaultPort)
	a.SetDefault(&e.DialErrorLimit, defaultDialErrorLimit)
	a.SetDefault(&e.PerDialTimeout, defaultPerDialTimeout)
}

func or[T any](value *T, fallback T) T {
	if value == nil {
		return fallback
	}
	return *value
}

func (e *Endpoint) address() string {
	return net.JoinHostPort(or(e.Host, ""), strconv.Itoa(int(or(e.Port, defaultPort))))
}

func (e *Endpoint) timeout() time.Duration {
	return time.Duration(or(e.PerDialTimeout, defaultPerDialTimeout)) * time.Second
}

// clientConfig offers the key, then the password, then the agent's keys. Without a host key, any server is
// accepted. The returned function closes the connection to the agent.
func (e *Endpoint) clientConfig() (*ssh.ClientConfig, func(), error) {
	config := &ssh.ClientConfig{
		User:            or(e.User, defaultUser),
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	if e.HostKey != nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
		if err != nil {
			return nil, nil, fmt.Errorf("failed to parse host key: %w", err)
		}
		config.HostKeyCallback = ssh.FixedHostKey(key)
		config.HostKeyAlgorithms = []string{key.Type()}
	}
	if e.PrivateKey != nil {
		signer, err := parseKey(*e.PrivateKey, e.PrivateKeyPassword)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to parse private key: %w", err)
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		answer := func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range answers {
				answers[i] = *e.Password
			}
			return answers, nil
		}
		config.Auth = append(config.Auth, ssh.Password(*e.Password), ssh.KeyboardInteractive(answer))
	}
	closeAgent := func() {}
	if path := or(e.AgentSocketPath, os.Getenv("SSH_AUTH_SOCK")); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to reach the SSH agent: %w", err)
		}
		closeAgent = func() { _ = conn.Close() }
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
	}
	return config, closeAgent, nil
}

func parseKey(key string, password *string) (ssh.Signer, error) {
	if password != nil {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(key), []byte(*password))
	}
	return ssh.ParsePrivateKey([]byte(key))
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// client connects and authenticates, trying again as often as dialErrorLimit allows.
func (e *Endpoint) client(ctx context.Context, what string, dial dialer) (*ssh.Client, error) {
	config, closeAgent, err := e.clientConfig()
	if err != nil {
		return nil, err
	}
	defer closeAgent()
	return withRetry(ctx, what, or(e.DialErrorLimit, defaultDialErrorLimit), func() (*ssh.Client, error) {
		return connect(ctx, dial, e.address(), e.timeout(), config)
	})
}

// connect is one attempt, handshake included; timeout 0 means no limit.
func connect(
	ctx context.Context, dial dialer, address string, timeout time.Duration, config *ssh.ClientConfig,
) (*ssh.Client, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	// A tunnelled connection knows no deadlines; closing it works for both.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	sshConn, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if !stop() {
		if err == nil {
			_ = sshConn.Close()
		}
		return nil, fmt.Errorf("SSH handshake with %s: %w", address, ctx.Err())
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return ssh.NewClient(sshConn, channels, requests), nil
}

// Dial connects to the host. The returned function closes everything that was opened on the way.
func (c *Connection) Dial(ctx context.Context) (*ssh.Client, func(), error) {
	direct := (&net.Dialer{}).DialContext
	if c.Proxy == nil {
		client, err := c.client(ctx, "Dial", direct)
		if err != nil {
			return nil, nil, err
		}
		return client, func() { _ = client.Close() }, nil
	}
	proxy, err := c.Proxy.client(ctx, "Dial proxy", direct)
	if err != nil {
		return nil, nil, fmt.Errorf("proxy: %w", err)
	}
	client, err := c.client(ctx, "Dial from proxy", proxy.DialContext)
	if err != nil {
		_ = proxy.Close()
		return nil, nil, fmt.Errorf("proxy: %w", err)
	}
	return client, func() { _ = client.Close(); _ = proxy.Close() }, nil
}

// withRetry calls attempt until it succeeds, limit retries have failed or ctx ends. The delays are those of
// the published plugin: 100 ms, half as much again each time, 5 s at most.
func withRetry[T any](ctx context.Context, what string, limit int, attempt func() (T, error)) (T, error) {
	var result T
	_, _, err := retry.Until(ctx, retry.Acceptor{Accept: func(try int, _ time.Duration) (bool, any, error) {
		var err error
		if result, err = attempt(); err == nil {
			return true, nil, nil
		}
		failed := try + 1
		if limit > unlimitedDialErrors && failed > limit {
			return false, nil, fmt.Errorf("after %d failed attempts: %w", try, err)
		}
		of := strconv.Itoa(limit)
		if limit == unlimitedDialErrors {
			of = "inf"
		}
		p.GetLogger(ctx).InfoStatusf("%s %d/%s failed: retrying", what, failed, of)
		return false, nil, nil
	}})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		var none T
		if errors.Is(err, context.Canceled) {
			return none, fmt.Errorf("%s was cancelled: %w", what, err)
		}
		return none, err
	}
	return result, nil
}
