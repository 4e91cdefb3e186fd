import Testing
import Transport
import Wording

@Suite struct EndpointListTests {
    @Test func aListIsReadInItsOrder() throws {
        let list = "tcp://127.0.0.1:7178,tcp://[::1]:7177,tcp://localhost:1"
        let read = try EndpointPolicy.endpoints(list, allowPlaintext: false, isEncrypted: false)
        #expect(read == ["tcp://127.0.0.1:7178", "tcp://[::1]:7177", "tcp://localhost:1"])
        // What one endpoint may be is for the socket to say, as ever.
        #expect(try EndpointPolicy.endpoints("ipc:///tmp/x", allowPlaintext: false, isEncrypted: false).count == 1)
    }

    @Test(arguments: [
        "", ",", "tcp://127.0.0.1:1,", "tcp://127.0.0.1:1, tcp://127.0.0.1:2", "tcp://127.0.0.1:1,127.0.0.1:2",
        "tcp://127.0.0.1:1,tcp://127.0.0.1:0", "tcp://127.0.0.1:1,tcp://127.0.0.1:65536", "tcp://127.0.0.1:1,tcp://:2",
        "tcp://127.0.0.1:1,tcp://127.0.0.1:x", String(repeating: "tcp://127.0.0.1:1,", count: 16) + "tcp://127.0.0.1:1",
    ])
    func whatIsNoListIsRefused(_ list: String) {
        #expect(throws: UsageError.self) {
            try EndpointPolicy.endpoints(list, allowPlaintext: true, isEncrypted: false)
        }
    }

    @Test func everyEndpointMustBeAllowed() {
        let list = "tcp://127.0.0.1:1,tcp://10.0.0.1:2"
        #expect(throws: UsageError.self) {
            try EndpointPolicy.endpoints(list, allowPlaintext: false, isEncrypted: false)
        }
        #expect(throws: Never.self) {
            try EndpointPolicy.endpoints(list, allowPlaintext: true, isEncrypted: false)
        }
    }
}
