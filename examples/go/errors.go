package main

import (
	"fmt"
	"log"
	"math/rand"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// report logs an error with the details that Heap Sync attached to it.
func report(err error) {
	reason, violations := "-", ""
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.Reason
		case *errdetails.BadRequest:
			for _, violation := range detail.FieldViolations {
				violations += fmt.Sprintf("\n  %s: %s", violation.Field, violation.Description)
			}
		}
	}
	log.Printf("%v %s: %s%s", status.Code(err), reason, status.Convert(err).Message(), violations)
}

// retryDelay returns the wait that the server asks for, and whether it is worth repeating the call at all.
func retryDelay(err error) (time.Duration, bool) {
	failed, isStatus := status.FromError(err)
	if !isStatus { // a fault of our own, such as in the file
		return 0, false
	}
	for _, detail := range failed.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok {
			return retry.RetryDelay.AsDuration(), true
		}
	}
	switch failed.Code() {
	case codes.Unavailable:
		return 0, true
	case codes.Internal, codes.Unknown, codes.Canceled:
		// A proxy that resets a stream attaches no details; Heap Sync does to each of its errors.
		return 0, len(failed.Details()) == 0
	}
	return 0, false
}

// backoff returns a random wait, below a bound that doubles with each failure up to ten seconds.
func backoff(failures int) time.Duration {
	bound := 10 * time.Second
	if failures < 7 {
		bound = 100 * time.Millisecond << failures
	}
	return time.Duration(rand.Int63n(int64(bound)))
}
