// Command client sends events to Heap Sync:
//
//	client track IDENTITY EVENT
//	client bulk FILE.ndjson REQUEST_ID
//
// Environment: HEAPSYNC_SERVER (localhost:50051), HEAPSYNC_TLS_CA and HEAPSYNC_TOKEN_FILE for TLS and a bearer token.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "example.com/heapsync-client/gen/heapsync/v1"
)

//go:generate buf generate
//go:generate cp ../../proto/heapsync/v1/service_config.json gen/
//go:embed gen/service_config.json
var serviceConfig string

// bearer is a token that goes over TLS only.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

func connect() (*grpc.ClientConn, error) {
	server := os.Getenv("HEAPSYNC_SERVER")
	if server == "" {
		server = "localhost:50051"
	}
	options := []grpc.DialOption{
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute}),
	}
	ca := os.Getenv("HEAPSYNC_TLS_CA")
	if ca == "" {
		return grpc.NewClient(server, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	}
	tls, err := credentials.NewClientTLSFromFile(ca, "")
	if err != nil {
		return nil, err
	}
	options = append(options, grpc.WithTransportCredentials(tls))
	if file := os.Getenv("HEAPSYNC_TOKEN_FILE"); file != "" {
		token, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer(bytes.TrimSpace(token))))
	}
	return grpc.NewClient(server, options...)
}

func track(client pb.HeapSyncServiceClient, identity, event string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	response, err := client.TrackEvent(ctx, &pb.TrackEventRequest{
		// It makes it safe to repeat the call, which gRPC does by the service config.
		RequestId: uuid.NewString(),
		Event: &pb.TrackEvent{
			Identity:   identity,
			Event:      event,
			Timestamp:  timestamppb.Now(),
			Properties: &structpb.Struct{Fields: map[string]*structpb.Value{"source": structpb.NewStringValue("go")}},
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("receipt", response.Receipt)
	return nil
}

func main() {
	log.SetFlags(0)
	conn, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	client := pb.NewHeapSyncServiceClient(conn)
	switch arguments := os.Args[1:]; {
	case len(arguments) == 3 && arguments[0] == "track":
		err = track(client, arguments[1], arguments[2])
	case len(arguments) == 3 && arguments[0] == "bulk":
		err = bulk(client, arguments[1], arguments[2])
	default:
		err = errors.New("usage: client track IDENTITY EVENT | client bulk FILE.ndjson REQUEST_ID")
	}
	if err != nil {
		report(err)
		os.Exit(1)
	}
}
