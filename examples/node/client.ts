// Sends events to Heap Sync: client.js track IDENTITY EVENT, or client.js bulk FILE.ndjson REQUEST_ID.
// Environment: HEAPSYNC_SERVER (localhost:50051), HEAPSYNC_TLS_CA and HEAPSYNC_TOKEN_FILE for TLS and a bearer token.
import { randomUUID } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials, Metadata, ServiceError, status } from "@grpc/grpc-js";
import { BadRequest, ErrorInfo, RetryInfo } from "nice-grpc-error-details";
import { Status } from "nice-grpc-error-details/lib/proto/google/rpc/status";
import { BulkTrackEventsRequest, HeapSyncServiceClient, TrackEventRequest, TrackEventResponse } from "./gen/heapsync/v1/heap_sync_service";
import { TrackEvent } from "./gen/heapsync/v1/items";

const CHUNK = 500; // events in a message; the server takes 10,000 and 4 MiB at most
const MAX_FAILURES = 40; // in a row, without progress between them: some three minutes

function connect(): HeapSyncServiceClient {
  const { HEAPSYNC_SERVER = "localhost:50051", HEAPSYNC_TLS_CA, HEAPSYNC_TOKEN_FILE } = process.env;
  let security = credentials.createInsecure();
  if (HEAPSYNC_TLS_CA) {
    security = credentials.createSsl(readFileSync(HEAPSYNC_TLS_CA));
    if (HEAPSYNC_TOKEN_FILE) {
      const metadata = new Metadata();
      metadata.set("authorization", `Bearer ${readFileSync(HEAPSYNC_TOKEN_FILE, "utf8").trim()}`);
      security = credentials.combineChannelCredentials(
        security, credentials.createFromMetadataGenerator((_, done) => done(null, metadata)));
    }
  }
  return new HeapSyncServiceClient(HEAPSYNC_SERVER, security, {
    "grpc.service_config": readFileSync(`${__dirname}/../gen/service_config.json`, "utf8"),
    "grpc.keepalive_time_ms": 60_000,
  });
}

// The details that Heap Sync attached to an error.
function detailsOf(error: ServiceError): { info?: ErrorInfo; bad?: BadRequest; retry?: RetryInfo } {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const found: ReturnType<typeof detailsOf> = {};
  for (const { typeUrl, value } of packed ? Status.decode(packed as Buffer).details : []) {
    if (typeUrl.endsWith("/google.rpc.ErrorInfo")) found.info = ErrorInfo.decode(value);
    if (typeUrl.endsWith("/google.rpc.BadRequest")) found.bad = BadRequest.decode(value);
    if (typeUrl.endsWith("/google.rpc.RetryInfo")) found.retry = RetryInfo.decode(value);
  }
  return found;
}

function report(error: ServiceError): void {
  const { info, bad } = detailsOf(error);
  console.error(`${status[error.code]} ${info?.reason ?? "-"}: ${error.details}`);
  for (const { field, description } of bad?.fieldViolations ?? []) console.error(`  ${field}: ${description}`);
}

// Milliseconds that the server asks to wait; undefined if a repetition is pointless.
function retryDelay(error: ServiceError): number | undefined {
  const { info, retry } = detailsOf(error);
  if (retry?.retryDelay) return Number(retry.retryDelay.seconds) * 1_000 + retry.retryDelay.nanos / 1e6;
  // Every error of Heap Sync has an ErrorInfo; a proxy that resets a stream gives none.
  const reset = !info && [status.INTERNAL, status.UNKNOWN, status.CANCELLED].includes(error.code);
  return error.code === status.UNAVAILABLE || reset ? 0 : undefined;
}

async function track(client: HeapSyncServiceClient, identity: string, event: string): Promise<void> {
  // The request id makes it safe to repeat the call, which gRPC does by the service config.
  const request = TrackEventRequest.create({
    requestId: randomUUID(), event: { identity, event, timestamp: new Date(), properties: { source: "node" } } });
  const metadata = new Metadata({ waitForReady: true }); // which grpc-js does not take from the service config
  const response = await new Promise<TrackEventResponse>((resolve, reject) =>
    client.trackEvent(request, metadata, { deadline: Date.now() + 10_000 }, (error, value) => (error ? reject(error) : resolve(value))));
  console.log(`receipt ${response.receipt}`);
}

async function* requests(path: string, requestId: string, start: number): AsyncGenerator<BulkTrackEventsRequest> {
  let request = BulkTrackEventsRequest.create({ requestId, startIndex: start });
  let index = 0;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (index++ < start) continue;
    if (request.events.push(TrackEvent.fromJSON(JSON.parse(line))) < CHUNK) continue;
    yield request;
    request = BulkTrackEventsRequest.create();
  }
  if (request.events.length > 0) yield request;
}

async function bulk(client: HeapSyncServiceClient, path: string, requestId: string): Promise<void> {
  const rejected = new Set<number>();
  for (let position = 0, failures = 0; ; ) {
    const call = client.bulkTrackEvents();
    const source = Readable.from(requests(path, requestId, position)).on("error", () => call.cancel());
    try {
      source.pipe(call as unknown as Writable);
      for await (const response of call) {
        for (const { index, violations } of response.rejectedItems) {
          if (rejected.has(index)) continue;
          rejected.add(index);
          for (const { field, reason } of violations) console.log(`rejected ${index}: ${field} ${reason}`);
        }
        if (response.durablePosition === position) continue;
        [position, failures] = [response.durablePosition, 0];
        console.log(`durable ${position}`);
      }
      return console.log(`done: ${position - rejected.size} accepted, ${rejected.size} rejected`);
    } catch (caught) {
      const error = caught as ServiceError;
      const delay = source.errored ? undefined : retryDelay(error);
      if (delay === undefined || ++failures === MAX_FAILURES) throw source.errored ?? error;
      report(error);
      await sleep(delay + Math.random() * Math.min(10_000, 100 * 2 ** failures));
    } finally {
      source.destroy();
    }
  }
}

const [command, ...rest] = process.argv.slice(2);
const client = connect();
const done = command === "bulk" ? bulk(client, rest[0], rest[1]) : track(client, rest[0], rest[1]);
done.catch((error) => {
  process.exitCode = 1;
  "metadata" in error ? report(error) : console.error(error);
}).finally(() => client.close());
