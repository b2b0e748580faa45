package com.example;

import com.google.gson.Gson;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.google.protobuf.util.Timestamps;
import heapsync.v1.HeapSyncServiceGrpc;
import heapsync.v1.HeapSyncServiceGrpc.HeapSyncServiceBlockingV2Stub;
import heapsync.v1.TrackEvent;
import heapsync.v1.TrackEventRequest;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.StatusException;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * Sends events to Heap Sync: {@code track IDENTITY EVENT} or {@code bulk FILE.ndjson REQUEST_ID}.
 *
 * <p>Environment: HEAPSYNC_SERVER (localhost:50051), HEAPSYNC_TLS_CA and HEAPSYNC_TOKEN_FILE for TLS and a bearer token.
 */
public final class Client {
  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = connect();
    HeapSyncServiceBlockingV2Stub stub = HeapSyncServiceGrpc.newBlockingV2Stub(channel);
    try {
      if (arguments[0].equals("bulk")) {
        new BulkJob(stub, Path.of(arguments[1]), arguments[2]).run();
      } else {
        track(stub, arguments[1], arguments[2]);
      }
    } catch (StatusException error) {
      ErrorDetails.of(error).report();
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }

  private static ManagedChannel connect() throws IOException {
    Map<String, String> environment = System.getenv();
    ChannelCredentials credentials = InsecureChannelCredentials.create();
    if (environment.containsKey("HEAPSYNC_TLS_CA")) {
      credentials = TlsChannelCredentials.newBuilder().trustManager(new File(environment.get("HEAPSYNC_TLS_CA"))).build();
      if (environment.containsKey("HEAPSYNC_TOKEN_FILE")) {
        String token = Files.readString(Path.of(environment.get("HEAPSYNC_TOKEN_FILE"))).strip();
        credentials = CompositeChannelCredentials.create(credentials, new BearerToken(token));
      }
    }
    return Grpc.newChannelBuilder(environment.getOrDefault("HEAPSYNC_SERVER", "localhost:50051"), credentials)
        .defaultServiceConfig(serviceConfig())
        .keepAliveTime(1, TimeUnit.MINUTES)
        .build();
  }

  @SuppressWarnings("unchecked")
  private static Map<String, ?> serviceConfig() throws IOException {
    try (var reader = new InputStreamReader(Client.class.getResourceAsStream("/service_config.json"), StandardCharsets.UTF_8)) {
      return new Gson().fromJson(reader, Map.class);
    }
  }

  private static void track(HeapSyncServiceBlockingV2Stub stub, String identity, String event) throws StatusException {
    TrackEventRequest request =
        TrackEventRequest.newBuilder()
            // It makes it safe to repeat the call, which gRPC does by the service config.
            .setRequestId(UUID.randomUUID().toString())
            .setEvent(
                TrackEvent.newBuilder()
                    .setIdentity(identity)
                    .setEvent(event)
                    .setTimestamp(Timestamps.now())
                    .setProperties(
                        Struct.newBuilder().putFields("source", Value.newBuilder().setStringValue("java").build())))
            .build();
    System.out.println("receipt " + stub.withDeadlineAfter(10, TimeUnit.SECONDS).trackEvent(request).getReceipt());
  }

  private static final class BearerToken extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private final String token;

    BearerToken(String token) {
      this.token = token;
    }

    @Override
    public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
      Metadata headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + token);
      applier.apply(headers);
    }
  }
}
