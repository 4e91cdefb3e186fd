import Testing
import Transport
import ZeroMQ

@Suite struct ConnectionTableTests {
    private static func table(_ change: (inout ConnectionLimits) -> Void = { _ in }) -> ConnectionTable {
        var limits = ConnectionLimits()
        change(&limits)
        return ConnectionTable(limits: limits, frameLimit: 100, isEncrypted: false, now: .zero)
    }

    private static func cuts(_ actions: [ConnectionTable.Action]) -> [Int32] {
        actions.compactMap { if case .cut(let descriptor) = $0 { descriptor } else { nil } }
    }

    private static func reasons(_ actions: [ConnectionTable.Action]) -> [String] {
        actions.compactMap { if case .report(_, let reason) = $0 { reason } else { nil } }
    }

    @Test func theOldestSilentConnectionMakesRoom() {
        var table = Self.table { $0.unproven = 2 }
        #expect(table.accepted(1, from: "a:1", now: .zero).isEmpty)
        #expect(table.accepted(2, from: "a:2", now: .zero).isEmpty)
        table.proved(1)
        #expect(table.accepted(3, from: "a:3", now: .zero).isEmpty)
        let actions = table.accepted(4, from: "b:4", now: .zero)
        #expect(Self.cuts(actions) == [2])
        #expect(Self.reasons(actions) == ["it had said nothing that counts when 2 others had not either"])
        // Cut once, and told of once.
        #expect(table.disconnected(2, by: .peer, now: .zero).isEmpty)
        #expect(Self.cuts(table.accepted(5, from: "b:5", now: .zero)) == [3])
    }

    @Test func aLimitThatIsTheSystemsSaysSo() {
        var table = Self.table { ($0.connections, $0.advice) = (1, "open more files") }
        _ = table.accepted(1, from: "a:1", now: .zero)
        let actions = table.accepted(2, from: "a:2", now: .zero)
        #expect(Self.reasons(actions) == ["1 connections are open already; open more files"])
    }

    /// After a restart of the learner members come all at once, and their first messages are read behind them.
    @Test func aBurstOfMembersIsLetIn() {
        var table = Self.table()
        for descriptor in 1...2000 {
            #expect(table.accepted(Int32(descriptor), from: "a:\(descriptor)", now: .zero).isEmpty)
        }
        #expect(table.count == 2000)
    }

    @Test func thereAreOnlySoMany() {
        var table = Self.table { $0.connections = 3 }
        for descriptor in 1...3 {
            _ = table.accepted(Int32(descriptor), from: "a:\(descriptor)", now: .zero)
            table.proved(Int32(descriptor))
        }
        #expect(Self.cuts(table.accepted(4, from: "a:4", now: .zero)) == [4])
        _ = table.disconnected(4, by: .peer, now: .zero)
        _ = table.disconnected(1, by: .peer, now: .zero)
        #expect(table.accepted(1, from: "a:5", now: .zero).isEmpty)
        #expect(table.count == 3)
    }

    @Test func silenceEndsAConnection() {
        var table = Self.table()
        _ = table.accepted(1, from: "a:1", now: .seconds(0))
        _ = table.accepted(2, from: "a:2", now: .seconds(1))
        _ = table.accepted(3, from: "a:3", now: .seconds(2))
        table.proved(2)
        #expect(table.tick(now: .seconds(29)) { _ in nil }.isEmpty)
        #expect(Self.cuts(table.tick(now: .seconds(30)) { _ in nil }) == [1])
        #expect(Self.cuts(table.tick(now: .seconds(1000)) { _ in nil }) == [3])
        #expect(table.tick(now: .seconds(2000)) { _ in nil }.isEmpty)
    }

    @Test func aDescriptorThatIsUsedAgainIsAnotherConnection() {
        var table = Self.table { $0.unproven = 1 }
        _ = table.accepted(1, from: "a:1", now: .zero)
        table.proved(1)
        _ = table.disconnected(1, by: .peer, now: .zero)
        _ = table.accepted(1, from: "a:2", now: .seconds(5))
        #expect(Self.cuts(table.accepted(2, from: "a:3", now: .seconds(6))) == [1])
    }

    @Test func aFloodIsDroppedAndOthersAreNot() {
        var table = Self.table { ($0.messagesPerSecond, $0.messageBurst) = (10, 20) }
        _ = table.accepted(1, from: "a:1", now: .zero)
        _ = table.accepted(2, from: "a:2", now: .zero)
        #expect(Self.passed(&table, 1, at: .zero) == 20)
        let other = table.received(2, wireBytes: 1, now: .zero)
        #expect(other)
        #expect(Self.passed(&table, 1, at: .seconds(1)) == 10)
        // Connections that are gone have one purse together.
        #expect(Self.passed(&table, 9, at: .zero) == 20)
        #expect(Self.passed(&table, 8, at: .zero) == 0)
        #expect(Self.passed(&table, nil, at: .zero) == 0)
    }

    /// How many of 100 messages pass.
    private static func passed(_ table: inout ConnectionTable, _ descriptor: Int32?, at now: Duration) -> Int {
        var count = 0
        for _ in 0..<100 where table.received(descriptor, wireBytes: 1, now: now) { count += 1 }
        return count
    }

    @Test func aMessageWithoutAnEndIsCut() {
        var table = Self.table { ($0.pendingBytes, $0.totalPendingBytes) = (1 << 20, 3 << 19) }
        for descriptor in 1...3 { _ = table.accepted(Int32(descriptor), from: "a:\(descriptor)", now: .zero) }
        _ = table.received(1, wireBytes: 5 << 20, now: .zero)
        let received: [Int32: Int] = [1: 5 << 20 + 100, 2: 2 << 20, 3: 1 << 19]
        let actions = table.tick(now: .zero) { received[$0] }
        #expect(Self.cuts(actions) == [2])
        #expect(Self.reasons(actions) == ["2 MiB have come that are not the end of a message"])
        // Each below its own bound, all together above theirs.
        _ = table.accepted(4, from: "a:4", now: .zero)
        let more: [Int32: Int] = [1: 5 << 20 + 900_000, 3: 1 << 19, 4: 600_000]
        #expect(Self.cuts(table.tick(now: .zero) { more[$0] }) == [1])
    }

    @Test func failuresAreReportedWithTheirAddress() {
        var table = Self.table()
        func ending(
            _ failure: HandshakeFailure?, after: Duration = .zero, by end: ConnectionTable.End = .peer
        ) -> [ConnectionTable.Action] {
            _ = table.accepted(7, from: "10.0.0.9:40000", now: .zero)
            if let failure { table.handshakeFailed(failure) }
            return table.disconnected(7, by: end, now: after)
        }
        for (failure, part) in [
            (HandshakeFailure.mechanism, "one side uses keys"), (.key, "cannot be decrypted"),
            (.malformed, "not the protocol"), (.unfinished, "broke off"),
        ] {
            let actions = ending(failure)
            #expect(Self.reasons(actions).count == 1 && Self.reasons(actions)[0].contains(part))
            #expect(actions == [.report(address: "10.0.0.9:40000", reason: Self.reasons(actions)[0])])
        }
        #expect(Self.reasons(ending(.unfinished, after: .seconds(10))).first?.contains("after 10 s") == true)
        #expect(Self.reasons(ending(nil)) == ["it left before its first message"])
        #expect(Self.reasons(ending(nil, by: .here)).first?.hasPrefix("it sent a frame above 100 bytes") == true)
        #expect(Self.reasons(ending(nil, by: .unknown)).first?.contains("message, or it sent a frame above") == true)
        // Its key was refused, and that was told already.
        table.refused(host: "10.0.0.9")
        #expect(ending(nil).isEmpty)
        #expect(!ending(nil).isEmpty)
        // So quickly, perhaps, that its address was never read.
        for isRefused in [true, false] {
            if isRefused { table.refused(host: "10.0.0.9") }
            _ = table.accepted(7, from: ConnectionTable.unknownAddress, now: .zero)
            #expect(table.disconnected(7, by: .unknown, now: .zero).isEmpty == isRefused)
        }
        _ = table.accepted(8, from: "10.0.0.9:40001", now: .zero)
        table.refusalWasLogged(8)
        #expect(table.disconnected(8, by: .peer, now: .zero).isEmpty)
    }

    @Test func whoWasHeardMayLeaveAndIsNotSentAwaySilently() {
        for (end, part) in [(ConnectionTable.End.peer, nil), (.unknown, nil), (.here, "it sent a frame above")] {
            var table = Self.table()
            _ = table.accepted(8, from: "10.0.0.9:40001", now: .zero)
            table.proved(8)
            let reasons = Self.reasons(table.disconnected(8, by: end, now: .seconds(100)))
            #expect(reasons.count == (part == nil ? 0 : 1) && reasons.allSatisfy { $0.hasPrefix(part ?? "") })
        }
    }
}
