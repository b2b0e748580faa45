//go:build tools

package main

// The generators that buf.gen.yaml runs, in the versions of go.mod.
import (
	_ "google.golang.org/grpc/cmd/protoc-gen-go-grpc"
	_ "google.golang.org/protobuf/cmd/protoc-gen-go"
)
