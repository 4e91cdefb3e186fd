import Foundation
import Testing
import ZeroMQ

@Suite struct SocketTests {
    @Test func pairRoundTrip() throws {
        let context = try Context()
        let (a, b) = (try Socket(context, .pair), try Socket(context, .pair))
        try a.bind("inproc://pair")
        try b.connect("inproc://pair")
        try a.send([[1, 2], [], [3]])
        #expect(try b.receive().map(\.array) == [[1, 2], [], [3]])
        #expect(try b.tryReceive() == nil)
    }

    @Test func routerAndDealerOverTCP() throws {
        let context = try Context()
        let (router, dealer) = (try Socket(context, .router), try Socket(context, .dealer))
        try router.bind("tcp://127.0.0.1:*")
        let endpoint = try router.lastEndpoint
        #expect(endpoint.hasPrefix("tcp://127.0.0.1:") && !endpoint.hasSuffix("*"))
        try dealer.setRoutingID(Array("worker".utf8))
        try dealer.connect(endpoint)
        try router.set(.receiveTimeout, to: 10_000)
        try dealer.set(.receiveTimeout, to: 10_000)
        try dealer.send([[7]])
        #expect(try router.receive().map(\.array) == [Array("worker".utf8), [7]])
        try router.send([Array("worker".utf8), [8]])
        #expect(try dealer.receive().map(\.array) == [[8]])
    }

    @Test func portInUseNamesTheEndpoint() throws {
        let context = try Context()
        let first = try Socket(context, .router)
        try first.bind("tcp://127.0.0.1:*")
        let endpoint = try first.lastEndpoint
        let second = try Socket(context, .router)
        let error = #expect(throws: ZeroMQError.self) { try second.bind(endpoint) }
        #expect(
            error?.message == "\(endpoint) is already in use by another process; choose another port, "
                + "with pipeline.endpoint in the configuration or with --bind")
    }

    @Test(arguments: ["nonsense", "tcp://", "tcp://127.0.0.1", "http://localhost:80", "tcp://127.0.0.1:99999"])
    func badEndpoints(_ endpoint: String) throws {
        let socket = try Socket(Context(), .router)
        let error = #expect(throws: ZeroMQError.self) { try socket.bind(endpoint) }
        #expect(error?.message.hasPrefix(endpoint) == true)
    }

    @Test func absentAddress() throws {
        let socket = try Socket(Context(), .router)
        let error = #expect(throws: ZeroMQError.self) { try socket.bind("tcp://203.0.113.7:5555") }
        #expect(error?.message.contains("no network interface") == true)
    }

    @Test func options() throws {
        let socket = try Socket(Context(), .router)
        #expect(try socket.get(.linger) == 0)
        for (option, value) in [
            (IntegerOption.linger, 1500), (.sendHighWaterMark, 10), (.receiveHighWaterMark, 20),
            (.maximumMessageBytes, 1 << 40),
            (.reconnectInterval, 50), (.reconnectIntervalMaximum, 500), (.ipv6, 1), (.handshakeInterval, 10_000),
            (.tcpKeepalive, 1),
            (.tcpKeepaliveIdle, 15), (.tcpKeepaliveInterval, 5), (.tcpKeepaliveCount, 3),
        ] {
            try socket.set(option, to: value)
            #expect(try socket.get(option) == value, "\(option)")
        }
        try socket.set(.routerMandatory, to: 1)
        try socket.set(.routerHandover, to: 1)
        #expect(throws: ZeroMQError.self) { try Socket(Context(), .pair).set(.routerMandatory, to: 1) }
    }

    @Test func unreachablePeerIsAnError() throws {
        let router = try Socket(Context(), .router)
        try router.set(.routerMandatory, to: 1)
        try router.bind("tcp://127.0.0.1:*")
        #expect(throws: ZeroMQError.self) { try router.trySend(SocketFrame([1]), more: true) }
    }

    @Test func fullSocketRefusesWithoutConsuming() throws {
        let context = try Context()
        let (sender, receiver) = (try Socket(context, .dealer), try Socket(context, .dealer))
        try sender.set(.sendHighWaterMark, to: 1)
        try receiver.set(.receiveHighWaterMark, to: 1)
        try sender.bind("inproc://full")
        try receiver.connect("inproc://full")
        var sent: UInt8 = 0
        let frame = try { () throws -> SocketFrame in
            while true {
                let frame = try SocketFrame([sent])
                guard try sender.trySend(frame, more: false) else { return frame }
                sent += 1
            }
        }()
        #expect(frame.array == [sent])
        #expect(try receiver.receive()[0].array == [0])
    }

    @Test func referencedMemoryIsReleasedAfterSending() throws {
        // Its memory is written in the initializer only.
        final class Owner: @unchecked Sendable {
            let memory: UnsafeRawBufferPointer
            init() {
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
                bytes.initializeMemory(as: UInt8.self, repeating: 9)
                memory = UnsafeRawBufferPointer(bytes)
            }
            deinit { memory.deallocate() }
        }
        weak var released: Owner?
        do {
            let context = try Context()
            let (a, b) = (try Socket(context, .dealer), try Socket(context, .dealer))
            // The connecting side has its queue at once.
            try b.bind("tcp://127.0.0.1:*")
            try a.connect(b.lastEndpoint)
            try b.set(.receiveTimeout, to: 10_000)
            let owner = Owner()
            released = owner
            #expect(try a.trySend(SocketFrame(referencing: owner.memory, owner: owner), more: false))
            let frame = try b.receive()[0]
            #expect(frame.count == 1 << 20 && frame.bytes.allSatisfy { $0 == 9 })
        }
        // The context has ended, and with it every thread of libzmq.
        #expect(released == nil)
    }

    @Test func pollingSocketsAndDescriptors() throws {
        let context = try Context()
        let (a, b) = (try Socket(context, .pair), try Socket(context, .pair))
        try a.bind("inproc://poll")
        try b.connect("inproc://poll")
        #expect(try poll([.socket(b, .readable)], milliseconds: 0) == [[]])
        try a.send([[1]])
        #expect(
            try poll([.socket(b, .readable), .socket(a, .writable)], milliseconds: 1000) == [.readable, .writable])
        // What stands is found again, whatever was read of it; and nothing wanted is nothing found.
        try a.send([[2]])
        #expect(try b.receive().map(\.array) == [[1]])
        #expect(try poll([.socket(b, .readable)], milliseconds: -1) == [.readable])
        #expect(try poll([.socket(b, [])], milliseconds: 10) == [[]])
    }

    /// A message that comes while somebody waits, over TCP and beside a descriptor that stays silent.
    @Test func pollingWakesForWhatComes() throws {
        let context = try Context()
        let (router, dealer) = (try Socket(context, .router), try Socket(context, .dealer))
        try router.bind("tcp://127.0.0.1:*")
        try dealer.connect(router.lastEndpoint)
        var pipe: [Int32] = [0, 0]
        try #require(Foundation.pipe(&pipe) == 0)
        defer { for end in pipe { close(end) } }
        for number in 0..<100 as Range<UInt8> {
            try dealer.send([[number]])
            let ready = try poll([.descriptor(pipe[0], .readable), .socket(router, .readable)], milliseconds: 10_000)
            #expect(ready == [[], .readable])
            #expect(try router.tryReceive()?.last?.array == [number])
        }
        #expect(write(pipe[1], "x", 1) == 1)
        #expect(
            try poll([.descriptor(pipe[0], .readable), .socket(router, .readable)], milliseconds: 10_000)
                == [.readable, []])
    }

    @Test func excessFramesAreDropped() throws {
        let context = try Context()
        let (a, b) = (try Socket(context, .pair), try Socket(context, .pair))
        try a.bind("inproc://excess")
        try b.connect("inproc://excess")
        try a.send((0..<100).map { [$0] })
        try a.send([[200]])
        #expect(try b.tryReceive(keeping: 3)?.map(\.array) == [[0], [1], [2]])
        #expect(try b.receive().map(\.array) == [[200]])
    }
}

@Suite(.enabled(if: Context.supports("curve"), "libzmq was built without CURVE"))
struct CurveTests {
    @Test func keys() throws {
        let keys = try CurveKeyPair.generate()
        #expect(keys.publicKey.text != keys.secretKey.text)
        #expect(CurveKey(keys.publicKey.text) == keys.publicKey)
        #expect(CurveKey("too short") == nil)
        #expect(CurveKey(String(repeating: "~", count: 40)) == nil)
    }

    @Test func encryptedRoundTripAndWrongKey() throws {
        let context = try Context()
        let (server, other) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
        let router = try Socket(context, .router)
        try router.setCurveServer(server)
        try router.bind("tcp://127.0.0.1:*")
        try router.set(.receiveTimeout, to: 10_000)
        let good = try Socket(context, .dealer)
        try good.setCurveClient(CurveKeyPair.generate(), server: server.publicKey)
        try good.connect(router.lastEndpoint)
        try good.send([[5]])
        #expect(try router.receive().last?.array == [5])
        let bad = try Socket(context, .dealer)
        try bad.setCurveClient(CurveKeyPair.generate(), server: other.publicKey)
        try bad.connect(router.lastEndpoint)
        try bad.send([[6]])
        #expect(try poll([.socket(router, .readable)], milliseconds: 300) == [[]])
    }
}
