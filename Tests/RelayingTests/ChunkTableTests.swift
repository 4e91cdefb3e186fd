import Relaying
import Testing
import Wire

@Suite struct ChunkTableTests {
    private let a = PeerID("a"), b = PeerID("b"), c = PeerID("c")

    private func ask(_ first: Int, _ credit: Int, _ version: UInt64 = 5, base: UInt64? = nil) -> WeightsRequest {
        WeightsRequest(version: version, firstChunk: first, credit: credit, baseVersion: base)
    }

    /// A table whose peers were told of a version.
    private func table(
        _ version: Version, _ peers: PeerID..., limit: Int = 1000
    ) -> ChunkTable {
        var table = ChunkTable(byteLimit: limit)
        for peer in peers {
            #expect(table.welcomed(peer, epoch: version.epoch, now: .zero) == [])
            #expect(table.announced(version.announce, to: peer, now: .zero) == [])
        }
        return table
    }

    @Test func aChunkIsAskedForOnceAndServedToAllWhoWait() throws {
        let version = Version(number: 5)
        var table = table(version, a, b, c)
        #expect(table.requested(ask(0, 2), by: a, now: .zero) == [.ask(ask(0, 2), as: a)])
        // The second asks for one more; the learner is asked for that one alone.
        #expect(table.requested(ask(1, 2), by: b, now: .zero) == [.ask(ask(2, 1), as: b)])
        let first = try #require(version.chunk(0)), second = try #require(version.chunk(1))
        #expect(table.arrived(first, for: a) == [.serve(first, to: a)])
        #expect(table.arrived(second, for: a) == [.serve(second, to: a), .serve(second, to: b)])
        // What is here is served at once; the learner hears that the third fetches, and sends nothing for it.
        let past = ask(3, 1)
        #expect(
            table.requested(ask(0, 2), by: c, now: .zero)
                == [.serve(first, to: c), .serve(second, to: c), .ask(past, as: c)])
        #expect(version.replies(to: past).isEmpty)
        #expect(table.requested(ask(0, 1), by: c, now: .zero) == [.serve(first, to: c)])
        #expect(table.counters == ChunkTable.Counters(taken: 8, served: 24, damaged: 0))
        #expect(table.heldBytes == 8)
    }

    @Test func whatIsNotWhatAMemberWasToldOfIsForTheLearner() throws {
        let version = Version(number: 5)
        var table = table(version, a)
        #expect(table.requested(ask(0, 1, 4), by: a, now: .zero) == nil)
        #expect(table.requested(ask(0, 1, base: 3), by: a, now: .zero) == nil)
        #expect(table.requested(ask(0, 1), by: b, now: .zero) == nil)
        // A chunk that nobody waits for is not held.
        #expect(table.arrived(try #require(version.chunk(0)), for: a) == nil)
        #expect(table.heldBytes == 0)
    }

    @Test func requestsAreBounded() {
        let version = Version(number: 5, byteCount: 4 * 1000)
        var table = table(version, a)
        let all = WeightsRequest(version: 5, firstChunk: 0, credit: Int(UInt32.max))
        #expect(table.requested(all, by: a, now: .zero) == [.ask(ask(0, 64), as: a)])
        let beyond = WeightsRequest(version: 5, firstChunk: Int(UInt32.max), credit: Int(UInt32.max))
        #expect(table.requested(beyond, by: a, now: .zero) == [])
    }

    @Test func aDamagedChunkIsServedToNobodyAndAskedForAgain() throws {
        let version = Version(number: 5)
        var table = table(version, a, b)
        _ = table.requested(ask(0, 1), by: a, now: .zero)
        _ = table.requested(ask(0, 1), by: b, now: .zero)
        let good = try #require(version.chunk(0))
        var flipped = good, short = good
        flipped.payload = Frame([1, 2, 3, 4])
        short.payload = Frame(Array(good.payload.array.prefix(3)))
        #expect(table.arrived(flipped, for: a) == [])
        #expect(table.arrived(short, for: a) == [])
        #expect(table.counters.damaged == 2 && table.heldBytes == 0)
        #expect(table.requested(ask(0, 1), by: b, now: .seconds(1)) == [.ask(ask(0, 1), as: b)])
        #expect(table.arrived(good, for: b) == [.serve(good, to: a), .serve(good, to: b)])
    }

    @Test func whatDoesNotComeIsAskedForAgainInTheNameOfWhoWantsIt() {
        var table = table(Version(number: 5), a, b)
        _ = table.requested(ask(0, 1), by: a, now: .zero)
        let early = table.requested(ask(0, 1), by: b, now: ChunkTable.patience - .milliseconds(1))
        #expect(early == [.ask(ask(3, 1), as: b)])
        #expect(table.requested(ask(0, 1), by: b, now: ChunkTable.patience) == [.ask(ask(0, 1), as: b)])
    }

    @Test func whoWaitsForAMemberThatLeftNeedNotAskAgain() throws {
        let version = Version(number: 5)
        var table = table(version, a, b)
        _ = table.requested(ask(0, 2), by: a, now: .zero)
        _ = table.requested(ask(1, 1), by: b, now: .zero)
        // The chunk that only the first wanted is asked for by nobody.
        #expect(table.left(a, now: .seconds(1)) == [.ask(ask(1, 1), as: b)])
        let chunk = try #require(version.chunk(1))
        #expect(table.arrived(chunk, for: a) == nil)
        #expect(table.arrived(chunk, for: b) == [.serve(chunk, to: b)])
        #expect(table.left(b, now: .seconds(1)) == [])
        #expect(table.heldBytes == 0)
    }

    @Test func aVersionIsReplacedWhileItIsServed() throws {
        let old = Version(number: 5), new = Version(number: 6)
        var table = table(old, a, b)
        _ = table.requested(ask(0, 2), by: a, now: .zero)
        _ = table.requested(ask(1, 1), by: b, now: .zero)
        let first = try #require(old.chunk(0))
        _ = table.arrived(first, for: a)
        // The first goes on with the new version; the second still waits for the old one.
        #expect(table.announced(new.announce, to: a, now: .zero) == [.ask(ask(1, 1), as: b)])
        #expect(table.requested(ask(0, 1, 6), by: a, now: .zero) == [.ask(ask(0, 1, 6), as: a)])
        #expect(table.requested(ask(0, 1), by: b, now: .zero) == [.serve(first, to: b)])
        let second = try #require(old.chunk(1))
        #expect(table.arrived(second, for: b) == [.serve(second, to: b)])
        #expect(table.heldBytes == 8)
        // Nobody has the old one before them any more.
        _ = table.announced(new.announce, to: b, now: .zero)
        #expect(table.heldBytes == 0)
    }

    @Test func aLearnerOfAnotherEpochIsNotMixedUpWithTheOneBefore() throws {
        let before = Version(epoch: 1, number: 5)
        var after = before
        after.epoch = 2
        var table = table(before, a, b)
        _ = table.requested(ask(0, 1), by: a, now: .zero)
        _ = table.arrived(try #require(before.chunk(0)), for: a)
        #expect(table.welcomed(a, epoch: 2, now: .zero) == [])
        #expect(table.requested(ask(0, 1), by: a, now: .zero) == nil)
        // Even the very same version is another one.
        _ = table.announced(before.announce, to: a, now: .zero)
        #expect(table.requested(ask(0, 1), by: a, now: .zero) == [.ask(ask(0, 1), as: a)])
        _ = table.announced(after.announce, to: a, now: .zero)
        _ = table.welcomed(b, epoch: 2, now: .zero)
        #expect(table.heldBytes == 0)
    }

    @Test func differencesAndSnapshotsAreHeldApart() throws {
        let differences = [
            AnnouncedDifference(baseVersion: 3, byteCount: 5), AnnouncedDifference(baseVersion: 4, byteCount: 6),
        ]
        let version = Version(number: 5, byteCount: 40, differences: differences)
        var table = table(version, a, b, c)
        // From 3 on there are two chunks of the first difference and two of the second.
        #expect(table.requested(ask(0, 9, base: 3), by: a, now: .zero) == [.ask(ask(0, 4, base: 3), as: a)])
        #expect(table.requested(ask(0, 9, base: 4), by: b, now: .zero) == [.ask(ask(0, 2, base: 4), as: b)])
        #expect(table.requested(ask(0, 1), by: c, now: .zero) == [.ask(ask(0, 1), as: c)])
        for index in 0..<4 {
            let chunk = try #require(version.chunk(index, base: 3))
            #expect(table.arrived(chunk, for: a) == [.serve(chunk, to: a)])
        }
        let last = try #require(version.chunk(1, base: 4)), snapshot = try #require(version.chunk(0))
        #expect(table.arrived(last, for: b) == [.serve(last, to: b)])
        #expect(table.arrived(snapshot, for: c) == [.serve(snapshot, to: c)])
        #expect(table.heldBytes == 5 + 6 + 2 + 4)
    }

    @Test func memoryIsBoundedAndWhatCameFirstGoesFirst() throws {
        let version = Version(number: 5, byteCount: 20)
        var table = table(version, a, limit: 8)
        _ = table.requested(ask(0, 5), by: a, now: .zero)
        for index in 0..<5 {
            let chunk = try #require(version.chunk(index))
            #expect(table.arrived(chunk, for: a) == [.serve(chunk, to: a)])
            #expect(table.heldBytes <= 8)
        }
        let kept = try #require(version.chunk(4))
        #expect(table.requested(ask(2, 1), by: a, now: .zero) == [.ask(ask(2, 1), as: a)])
        #expect(table.requested(ask(4, 1), by: a, now: .zero) == [.serve(kept, to: a)])
    }
}
