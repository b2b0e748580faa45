"""A name server of one name, for clients that balance calls over its addresses."""

import socket
import struct
import threading

NO_ERROR_ANSWER = 0x8580  # authoritative, recursion available
TYPE_A, CLASS_IN = 1, 1
HEADER = struct.Struct("!6H")


class NameServer:
    """Answers every name with the addresses, which may be changed at any time."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.authority = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), client)

    def _answer(self, message: bytes) -> bytes:
        number = HEADER.unpack_from(message)[0]
        end = message.index(b"\0", HEADER.size) + 5
        kind, = struct.unpack_from("!H", message, end - 4)
        addresses = self.addresses if kind == TYPE_A else []
        self.asked += kind == TYPE_A
        # 0xC00C points to the question's name.
        records = b"".join(struct.pack("!3HIH", 0xC00C, TYPE_A, CLASS_IN, 0, 4) + socket.inet_aton(address) for address in addresses)
        return HEADER.pack(number, NO_ERROR_ANSWER, 1, len(addresses), 0, 0) + message[HEADER.size:end] + records

    def stop(self) -> None:
        host, port = self.authority.split(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (host, int(port)))
        self._thread.join()
        self._socket.close()
