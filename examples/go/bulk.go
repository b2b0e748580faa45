package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pb "example.com/heapsync-client/gen/heapsync/v1"
)

const (
	chunk       = 500 // events in a message; the server takes 10,000 and 4 MiB at most
	maxFailures = 40  // in a row, without progress between them: some three minutes
)

// job is the progress of a bulk job over all its streams.
type job struct {
	path, requestID string
	position        uint64 // every event below it is durable or was rejected
	failures        int
	rejected        map[uint64]bool
}

// bulk sends the events of a file, one in JSON a line. A stream that breaks is followed by another from the durable position.
func bulk(client pb.HeapSyncServiceClient, path, requestID string) error {
	j := &job{path: path, requestID: requestID, rejected: map[uint64]bool{}}
	for {
		err := j.stream(client)
		if err == nil {
			fmt.Printf("done: %d accepted, %d rejected\n", j.position-uint64(len(j.rejected)), len(j.rejected))
			return nil
		}
		delay, retryable := retryDelay(err)
		if j.failures++; !retryable || j.failures == maxFailures {
			return err
		}
		report(err)
		time.Sleep(delay + backoff(j.failures))
	}
}

// stream sends the events from the present position on, and returns at the end of the file or of the connection.
func (j *job) stream(client pb.HeapSyncServiceClient) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := client.BulkTrackEvents(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func(start uint64) {
		err := j.send(stream, start)
		if err != nil {
			cancel()
		}
		sent <- err
	}(j.position)
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			if unsent := <-sent; unsent != nil {
				return unsent
			}
			return err
		}
		for _, item := range response.RejectedItems {
			if !j.rejected[item.Index] {
				j.rejected[item.Index] = true
				for _, violation := range item.Violations {
					fmt.Printf("rejected %d: %s %s\n", item.Index, violation.Field, violation.Reason)
				}
			}
		}
		if response.DurablePosition > j.position {
			j.position, j.failures = response.DurablePosition, 0
			fmt.Println("durable", j.position)
		}
	}
}

// send returns errors of the file; those of the stream are returned by its Recv.
func (j *job) send(stream pb.HeapSyncService_BulkTrackEventsClient, start uint64) error {
	file, err := os.Open(j.path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	request := &pb.BulkTrackEventsRequest{RequestId: j.requestID, StartIndex: start}
	for index := uint64(0); lines.Scan(); index++ {
		if index < start {
			continue
		}
		event := &pb.TrackEvent{}
		if err := protojson.Unmarshal(lines.Bytes(), event); err != nil {
			return fmt.Errorf("event %d: %w", index, err)
		}
		if request.Events = append(request.Events, event); len(request.Events) == chunk {
			if stream.Send(request) != nil {
				return nil
			}
			request = &pb.BulkTrackEventsRequest{}
		}
	}
	if lines.Err() == nil && len(request.Events) > 0 {
		stream.Send(request)
	}
	if lines.Err() == nil {
		stream.CloseSend()
	}
	return lines.Err()
}
