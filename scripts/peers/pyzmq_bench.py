"""Messages a second of raw pyzmq: what 'opd bench transport' measures, with nothing but sockets.

usage: pyzmq_bench.py BYTES COUNT [CLIENTS] [WINDOW]     prints one JSON object

A ROUTER answers every message of BYTES with a short one; CLIENTS processes, each with a DEALER, keep WINDOW messages
under way. Two rounds of COUNT messages pass, and the second counts, as there.
"""

import json
import multiprocessing
import sys
import time

import zmq

size, count = int(sys.argv[1]), int(sys.argv[2])
clients = int(sys.argv[3]) if len(sys.argv) > 3 else 4
window = int(sys.argv[4]) if len(sys.argv) > 4 else 16


def client(endpoint, share):
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    header, payload = b"h" * 40, b"x" * size
    sent = min(window, share)
    for _ in range(sent):
        socket.send_multipart([header, payload])
    for _ in range(share):
        socket.recv_multipart()
        if sent < share:
            socket.send_multipart([header, payload])
            sent += 1
    socket.close(linger=0)


def main():
    router = zmq.Context().socket(zmq.ROUTER)
    endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
    shares = [2 * count // clients + (i < 2 * count % clients) for i in range(clients)]
    processes = [multiprocessing.Process(target=client, args=(endpoint, share)) for share in shares]
    for process in processes:
        process.start()
    rates = []
    for _ in range(2):
        start = None
        for _ in range(count):
            peer, header, _ = router.recv_multipart()
            start = start or time.perf_counter()
            router.send_multipart([peer, header, b"ok"])
        rates.append(count / (time.perf_counter() - start))
    for process in processes:
        process.join()
    print(
        json.dumps(
            {"peer": "pyzmq", "what": "transport", "bytes": size, "clients": clients, "window": window}
            | {"messages_per_second": rates[1], "first_messages_per_second": rates[0]}
        )
    )


if __name__ == "__main__":
    main()
