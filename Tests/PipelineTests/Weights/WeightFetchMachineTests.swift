import Pipeline
import TestSupport
import Testing
import Wire

@Suite struct WeightFetchMachineTests {
    private let start = ContinuousClock.now
    private var options = WeightFetchMachine.Options()

    private func announce(_ version: UInt64, chunks: Int = 10, path: String? = nil) -> WeightsAnnounce {
        WeightsAnnounce(
            version: version, manifest: WeightManifest(matrixType: .f32, byteCount: chunks * 4), chunkByteCount: 4,
            chunkCount: chunks, checksum: 1, sharedMemoryPath: path, hostID: "here")
    }

    private func requests(_ actions: [WeightFetchMachine.Action]) -> [WeightsRequest] {
        actions.compactMap { if case .request(let request) = $0 { request } else { nil } }
    }

    @Test func fetchesAllChunksWithinTheWindow() {
        var machine = WeightFetchMachine(hostID: "elsewhere", options: options)
        let announcement = announce(3, path: "/dev/shm/x")
        var outstanding = 0
        var asked: [Int] = []
        func take(_ actions: [WeightFetchMachine.Action]) {
            for request in requests(actions) {
                asked += Array(request.firstChunk..<request.firstChunk + request.credit)
                outstanding += request.credit
            }
            #expect(outstanding <= 4)
        }
        let first = machine.handle(.announced(announcement), now: start)
        #expect(first.first == .allocate(announcement))
        take(first)
        for index in 0..<10 {
            outstanding -= 1
            let actions = machine.handle(.chunk(version: 3, index: index, intact: true), now: start)
            #expect(actions.first == .store(index: index))
            if index == 9 { #expect(actions == [.store(index: 9), .verify(announcement)]) }
            take(actions)
        }
        #expect(asked == Array(0..<10))
        #expect(machine.handle(.assembled(version: 3, intact: true), now: start) == [.deliver(announcement)])
        #expect(machine.delivered == 3)
        #expect(machine.nextTick == nil)
        #expect(machine.handle(.announced(announcement), now: start) == [])
        #expect(machine.handle(.announced(announce(2)), now: start) == [])
    }

    @Test func prefersSharedMemoryOnTheSameHost() {
        var machine = WeightFetchMachine(hostID: "here", options: options)
        let announcement = announce(1, path: "/dev/shm/x")
        #expect(machine.handle(.announced(announcement), now: start) == [.openSharedMemory(announcement)])
        #expect(
            machine.handle(.sharedMemory(version: 1, failure: nil), now: start) == [.deliver(announcement)])
    }

    @Test func fallsBackToChunks() {
        var machine = WeightFetchMachine(hostID: "here", options: options)
        let announcement = announce(1, path: "/dev/shm/x")
        _ = machine.handle(.announced(announcement), now: start)
        let actions = machine.handle(.sharedMemory(version: 1, failure: "gone"), now: start)
        #expect(actions.contains(.allocate(announcement)))
        #expect(requests(actions) == [WeightsRequest(version: 1, firstChunk: 0, credit: 4)])
    }

    @Test func aNewerVersionReplacesTheOneUnderWay() {
        var machine = WeightFetchMachine(hostID: "x", options: options)
        _ = machine.handle(.announced(announce(1)), now: start)
        _ = machine.handle(.chunk(version: 1, index: 0, intact: true), now: start)
        let actions = machine.handle(.announced(announce(4)), now: start)
        #expect(actions.first == .discard(version: 1))
        #expect(requests(actions) == [WeightsRequest(version: 4, firstChunk: 0, credit: 4)])
        // Late chunks of the old one mean nothing.
        #expect(machine.handle(.chunk(version: 1, index: 1, intact: true), now: start) == [])
        #expect(machine.handle(.assembled(version: 1, intact: true), now: start) == [])
        #expect(machine.handle(.sharedMemory(version: 1, failure: nil), now: start) == [])
        // An older announcement does not replace it.
        #expect(machine.handle(.announced(announce(2)), now: start) == [])
    }

    @Test func asksAgainAfterSilenceAndGivesUp() {
        var machine = WeightFetchMachine(hostID: "x", options: options)
        _ = machine.handle(.announced(announce(1)), now: start)
        _ = machine.handle(.chunk(version: 1, index: 1, intact: true), now: start)
        #expect(machine.handle(.tick, now: start + .seconds(4)) == [])
        var now = start
        for _ in 1..<options.attempts {
            now = machine.nextTick!
            let again = requests(machine.handle(.tick, now: now))
            // Chunk 1 is here already.
            #expect(
                again == [
                    WeightsRequest(version: 1, firstChunk: 0, credit: 1),
                    WeightsRequest(version: 1, firstChunk: 2, credit: 3),
                ])
        }
        let end = machine.handle(.tick, now: machine.nextTick!)
        #expect(
            end == [
                .discard(version: 1),
                .fail(version: 1, message: "weights 1: the learner did not send 9 of 10 chunks"),
            ])
        #expect(machine.nextTick == nil)
        // The version may be announced again.
        #expect(requests(machine.handle(.announced(announce(1)), now: now)).count == 1)
    }

    @Test func corruptedChunksAreAskedForAgainAndBounded() {
        var machine = WeightFetchMachine(hostID: "x", options: options)
        _ = machine.handle(.announced(announce(1, chunks: 1)), now: start)
        for _ in 1..<options.attempts {
            let actions = machine.handle(.chunk(version: 1, index: 0, intact: false), now: start)
            #expect(requests(actions) == [WeightsRequest(version: 1, firstChunk: 0, credit: 1)])
        }
        let end = machine.handle(.chunk(version: 1, index: 0, intact: false), now: start)
        #expect(end.last == .fail(version: 1, message: "weights 1: chunk 0 arrives corrupted"))
    }

    @Test func wrongChecksumOfTheWholeStartsOver() {
        var machine = WeightFetchMachine(hostID: "x", options: options)
        _ = machine.handle(.announced(announce(1, chunks: 1)), now: start)
        _ = machine.handle(.chunk(version: 1, index: 0, intact: true), now: start)
        let actions = machine.handle(.assembled(version: 1, intact: false), now: start)
        #expect(requests(actions) == [WeightsRequest(version: 1, firstChunk: 0, credit: 1)])
    }

    /// A resumed learner counts from its checkpoint.
    /// Chunks in any order, some lost, some twice: the version still arrives, and only once.
    @Test(arguments: 0..<50 as Range<UInt64>)
    func anyLossAndOrder(_ seed: UInt64) {
        var random = SeededRandom(seed: seed &* 77 + 1)
        var machine = WeightFetchMachine(hostID: "x", options: options)
        var now = start
        var inFlight: [Int] = []
        var stored: Set<Int> = []
        var delivered = 0
        func take(_ actions: [WeightFetchMachine.Action]) {
            for action in actions {
                switch action {
                case .request(let request):
                    for index in request.firstChunk..<request.firstChunk + request.credit {
                        if random.next() % 5 != 0 { inFlight.append(index) }
                        if random.next() % 7 == 0 { inFlight.append(index) }
                    }
                case .store(let index): #expect(stored.insert(index).inserted)
                case .verify: take(machine.handle(.assembled(version: 1, intact: true), now: now))
                case .deliver: delivered += 1
                case .allocate, .note: break
                default: Issue.record("\(action)")
                }
            }
        }
        var unlimited = WeightFetchMachine.Options()
        unlimited.attempts = .max
        machine = WeightFetchMachine(hostID: "x", options: unlimited)
        take(machine.handle(.announced(announce(1, chunks: 40)), now: now))
        for _ in 0..<10_000 where delivered == 0 {
            if inFlight.isEmpty {
                now = machine.nextTick!
                take(machine.handle(.tick, now: now))
            } else {
                let index = inFlight.remove(at: Int(random.next() % UInt64(inFlight.count)))
                take(machine.handle(.chunk(version: 1, index: index, intact: random.next() % 10 != 0), now: now))
            }
        }
        #expect(delivered == 1)
        #expect(stored.count == 40)
    }
}
