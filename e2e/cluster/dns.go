//go:build linux

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// serveNames answers pods that look up the address of a service, as a cluster's DNS does. It knows no other names.
func (c *Cluster) serveNames(ctx context.Context) error {
	connection, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return fmt.Errorf("serving DNS: %w", err)
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := connection.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, err := c.answer(ctx, buffer[:n]); err == nil {
				connection.WriteTo(answer, from)
			}
		}
	}()
	return nil
}

// answer returns the answer to a query.
func (c *Cluster) answer(ctx context.Context, query []byte) ([]byte, error) {
	var message dnsmessage.Message
	if err := message.Unpack(query); err != nil {
		return nil, err
	}
	message.Header = dnsmessage.Header{ID: message.ID, Response: true, Authoritative: true, RCode: dnsmessage.RCodeNameError}
	message.Additionals = nil
	for _, question := range message.Questions {
		address := c.serviceAddress(ctx, question.Name.String())
		if address == nil {
			continue
		}
		message.RCode = dnsmessage.RCodeSuccess
		if question.Type == dnsmessage.TypeA {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 1},
				Body:   &dnsmessage.AResource{A: [4]byte(address)},
			})
		}
	}
	return message.Pack()
}

// serviceAddress returns the IPv4 address of NAME.NAMESPACE.svc.cluster.local, or nil.
func (c *Cluster) serviceAddress(ctx context.Context, name string) net.IP {
	service, isService := strings.CutSuffix(strings.ToLower(name), ".svc.cluster.local.")
	service, namespace, hasNamespace := strings.Cut(service, ".")
	if !isService || !hasNamespace {
		return nil
	}
	body, err := c.Get(ctx, "/api/v1/namespaces/"+namespace+"/services/"+service)
	if err != nil {
		return nil
	}
	var found struct{ Spec struct{ ClusterIP string } }
	if err := json.Unmarshal(body, &found); err != nil {
		return nil
	}
	return net.ParseIP(found.Spec.ClusterIP).To4()
}
