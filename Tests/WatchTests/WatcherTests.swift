import Distillation
import Foundation
import JSON
import Locking
import RunFiles
import Telemetry
import Testing
import Watch
import Wire

/// The watcher as a browser sees it: over its port, on folders that grow.
@Suite struct WatcherTests {
    private func watcher(
        _ sources: [WatchSource], answer: StatusAnswer = .silence("nobody"), token: String? = nil
    ) throws -> Watcher {
        var options = Watcher.Options()
        (options.port, options.program, options.token) = (0, "opd test", token)
        return try Watcher(sources, options: options) { _, _ in answer }
    }

    /// The body of what is at a path.
    private func get(_ watcher: Watcher, _ path: String) throws -> String {
        let answer = try PageClient(watcher, "/\(path)").all()
        return try String(answer[#require(answer.firstRange(of: "\r\n\r\n")).upperBound...])
    }

    /// The events of the stream, from its beginning to the first for which `isLast` holds.
    private func events(
        _ watcher: Watcher, until isLast: @escaping @Sendable (_ name: String, _ data: JSONValue) -> Bool,
        _ meanwhile: @escaping @Sendable (_ name: String) throws -> Void = { _ in }
    ) async throws -> [(name: String, data: JSONValue)] {
        // Reading waits, and what asks the learners has its turn on the threads that tests share.
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let stream = try PageClient(watcher, "/events"), deadline = ContinuousClock.now + .seconds(100)
                        var events: [(name: String, data: JSONValue)] = []
                        while let (name, text) = stream.next(before: deadline) {
                            let data = try JSONValue.parse(text)
                            events.append((name, data))
                            if isLast(name, data) { break }
                            try meanwhile(name)
                        }
                        return events
                    })
            }
        }
    }

    @Test func aPageIsToldOfTheRunAndThenOfWhatIsNew() async throws {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.configuration, to: fixture.run.configuration)
        try fixture.write(RunFolderFixture.lines(0...5), to: fixture.run.metrics)
        let watcher = try watcher([.folder(fixture.run)])
        defer { watcher.stop(because: "the test is over") }
        let page = try get(watcher, "")
        #expect(page.contains("\"live\": true") && page.contains("connect-src 'self'") && page.contains("opd test"))
        let isGrown = Locked(false)
        let events = try await events(watcher) { name, data in
            name == "run" && data["head"]?["steps_done"]?.int == 7
        } _: { name in
            guard name == "run",
                !isGrown.withLock({ value in
                    defer { value = true }; return value
                })
            else { return }
            let file = try #require(FileHandle(forWritingAtPath: fixture.run.metrics))
            try file.seekToEnd()
            try file.write(contentsOf: Data(RunFolderFixture.lines(6...7, evaluatesEvery: 7).utf8))
        }
        let runs = events.filter { $0.name == "run" }.map(\.data)
        let first = try #require(runs.first), last = try #require(runs.last)
        #expect(first["from"] == 0 && first["curves"]?["ends"]?["step"]?.array?.count == 5)
        #expect(first["configuration"]?.array?.isEmpty == false && first["evaluations"] != nil)
        // The last point may have changed; those before it have not, and are not sent again.
        #expect(last["from"] == 4 && last["curves"]?["ends"]?["step"]?.array?.compactMap(\.int) == [5, 6, 7])
        #expect(last["configuration"] == nil)
        #expect(last["evaluations"]?["ends"]?["step"]?.array?.compactMap(\.int) == [0, 7])
        // Every number is the one that `opd inspect` says.
        let said = RunDigest.facts(of: fixture.run).map { [$0.label, $0.text] }
        let shown = last["head"]?["facts"]?.array?.map { $0.array?.compactMap(\.string) ?? [] }
        #expect(shown == said)
        // And what was sent in parts is what a report of the folder has.
        let whole = try fixture.document()
        var kl = first["curves"]?["series"]?["teacher_kl"]?["mean"]?.array?.compactMap(\.double) ?? []
        kl =
            Array(kl.prefix(4)) + (last["curves"]?["series"]?["teacher_kl"]?["mean"]?.array?.compactMap(\.double) ?? [])
        #expect(kl == whole["series"]?["teacher_kl"]?["mean"]?.array?.compactMap(\.double))
    }

    @Test func theLearnersAnswerIsAskedForAndShown() async throws {
        var status = Status(runID: "<r>", epoch: 1, version: 3, steps: 9)
        status.members = [
            Status.Member(
                name: "rollout-0\"\n", role: .rollout, teachers: [], leases: 2, tasks: 1, window: 4, state: "sampling",
                tokensPerSecond: 12.5, version: 3, silenceSeconds: 0.5)
        ]
        let watcher = try watcher([.endpoint("tcp://127.0.0.1:1")], answer: .status(status))
        defer { watcher.stop(because: "the test is over") }
        let events = try await events(watcher) { name, _ in name == "status" }
        let shown = try #require(events.last?.data["status"])
        #expect(shown["run_id"]?.string == "<r>" && shown["members"]?.array?.first?["leases"] == 2)
        let metrics = try get(watcher, "metrics")
        #expect(metrics.contains("opd_learner_up{run=\"tcp://127.0.0.1:1\"} 1.0"))
        #expect(
            metrics.contains(
                "opd_member_tokens_per_second{run=\"tcp://127.0.0.1:1\",member=\"rollout-0\\\"\\n\",role=\"rollout\"} 12.5"
            ))
    }

    @Test func aFolderFromElsewhereNamesNobodyToAsk() async throws {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.lines(0...1), to: fixture.run.metrics)
        try fixture.write("tcp://127.0.0.1:9\n", to: fixture.run.endpoint)
        let asked = Locked(0)
        var options = Watcher.Options()
        options.port = 0
        let watcher = try Watcher([.folder(fixture.run)], options: options) { _, _ in
            asked.withLock { $0 += 1 }
            return .silence("asked")
        }
        defer { watcher.stop(because: "the test is over") }
        let events = try await events(watcher) { name, _ in name == "status" }
        #expect(events.last?.data["silence"]?.string?.contains("no process") == true && asked.withLock { $0 } == 0)
        // Where a learner has the folder, it is asked.
        let lock = try fixture.run.lock()
        let more = try await self.events(watcher) { _, data in data["silence"] == "asked" }
        withExtendedLifetime(lock) { #expect(more.contains { $0.data["held"] == true }) }
    }

    @Test func theNumbersAreThereForPrometheus() async throws {
        let fixtures = try (0..<2).map { _ in try RunFolderFixture() }
        for fixture in fixtures {
            try fixture.write(RunFolderFixture.configuration, to: fixture.run.configuration)
            try fixture.write(RunFolderFixture.lines(0...30), to: fixture.run.metrics)
        }
        let watcher = try watcher(fixtures.map { .folder($0.run) })
        defer { watcher.stop(because: "the test is over") }
        _ = try await events(watcher) { name, data in name == "run" && data["run"] == 1 && data["head"] != nil }
        let lines = try get(watcher, "metrics").split(separator: "\n").map(String.init)
        let name = fixtures[0].run.path.split(separator: "/").last ?? ""
        #expect(lines.contains("opd_step{run=\"\(name)\"} 30.0"))
        #expect(lines.contains("# TYPE opd_tokens_trained_total counter"))
        #expect(lines.contains("opd_tokens_trained_total{run=\"\(name)\"} 300.0"))
        #expect(lines.contains("opd_eval_teacher_kl{run=\"\(name)\"} \(2.0 / 31)"))
        #expect(lines.contains { $0.hasPrefix("opd_step_seconds{") })
        // Every line is a comment or a series with one number, and no series comes twice.
        let series = lines.filter { !$0.hasPrefix("#") }
        for line in series { #expect(line.wholeMatch(of: /[a-z_0-9]+\{[^\n]*\} -?[0-9.e+-]+/) != nil, "\(line)") }
        #expect(Set(series.map { $0.prefix { $0 != "}" } }).count == series.count)
    }

    @Test func partsOfTheDivergenceAreSeriesOfOneMetric() async throws {
        let fixture = try RunFolderFixture()
        var steps = (1...3).map { RunFolderFixture.step($0) }
        for (index, tags) in [["easy": 1.5, "a\"b": 4], ["easy": 0.5], [:]].enumerated() {
            steps[index].training?.parts = DivergenceParts(
                positions: [nil, nil, nil, nil, nil], teachers: ["sums": Double(index), "words": 2], tags: tags)
        }
        try fixture.write(steps.map { $0.jsonLine + "\n" }.joined(), to: fixture.run.metrics)
        let watcher = try watcher([.folder(fixture.run)])
        defer { watcher.stop(because: "the test is over") }
        _ = try await events(watcher) { name, data in name == "run" && data["head"] != nil }
        let name = fixture.run.path.split(separator: "/").last ?? ""
        let lines = try get(watcher, "metrics").split(separator: "\n").map(String.init)
        #expect(
            lines.filter { $0.contains("teacher_kl_by") } == [
                "# HELP opd_teacher_kl_by_teacher The last teacher_kl_by_teacher of metrics.jsonl.",
                "# TYPE opd_teacher_kl_by_teacher gauge",
                "opd_teacher_kl_by_teacher{run=\"\(name)\",teacher=\"sums\"} 2.0",
                "opd_teacher_kl_by_teacher{run=\"\(name)\",teacher=\"words\"} 2.0",
                "# HELP opd_teacher_kl_by_tag The last teacher_kl_by_tag of metrics.jsonl.",
                "# TYPE opd_teacher_kl_by_tag gauge",
                // Of a tag the last step that had it.
                "opd_teacher_kl_by_tag{run=\"\(name)\",tag=\"a\\\"b\"} 4.0",
                "opd_teacher_kl_by_tag{run=\"\(name)\",tag=\"easy\"} 0.5",
            ])
    }

    @Test func hostileFoldersAndAddressesShowNothingButText() async throws {
        let fixture = try RunFolderFixture()
        let attack = "</script><script>alert(1)</script>\n\ndata: {\"run\":0}\n\nevent: end\n\n"
        try fixture.write(
            RunFolderFixture.lines(0...2) + "{\"step\": 3, \"version\": 3, \"skipped\": \(JSONText.string(attack))}\n"
                + String(repeating: "[", count: 3 << 20) + "\n{\"step\": \"\n", to: fixture.run.metrics)
        try fixture.write(
            RunFolderFixture.sample(step: 1, prompt: attack, response: attack, ends: nil), to: fixture.run.samples)
        try FileManager.default.createSymbolicLink(
            atPath: fixture.run.configuration, withDestinationPath: "/etc/passwd")
        let watcher = try watcher([.folder(fixture.run)])
        defer { watcher.stop(because: "the test is over") }
        let events = try await events(watcher) { _, data in data["head"]?["samples_total"] == 1 }
        #expect(!events.contains { $0.name == "end" })
        let head = try #require(events.last?.data["head"])
        #expect(head["bad_steps"]?["listed"]?.array?.first?["why"]?.string == attack)
        #expect(head["notes"]?.array?.contains { $0.string?.contains("config.yaml is no file") == true } == true)
        let samples = try JSONValue.parse(try get(watcher, "samples?run=0"))
        #expect(samples["samples"]?.array?.first?["prompt"]?.string == attack && samples["total"] == 1)
        for path in [
            "etc/passwd", "..%2f..%2fetc/passwd", "%2e%2e/metrics.jsonl", "samples?run=-1", "samples?run=9",
            "samples?run=x",
        ] {
            #expect(try get(watcher, path) == "there is nothing here\n", "\(path)")
        }
    }

    @Test func whatOthersCanReachNeedsAToken() throws {
        let fixture = try RunFolderFixture()
        var options = Watcher.Options()
        (options.host, options.port) = ("0.0.0.0", 0)
        #expect(throws: (any Error).self) {
            try Watcher([.folder(fixture.run)], options: options) { _, _ in .silence("") }
        }
    }
}

/// Asks a watcher for one thing, and reads what comes; events of a stream (WHATWG HTML, 9.2) one by one.
private final class PageClient {
    private let descriptor: Int32
    private var text = ""

    init(_ watcher: Watcher, _ path: String) throws {
        let port = UInt16(try #require(URL(string: watcher.address)?.port))
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(code == 0)
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let request = Array("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        _ = request.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, 0) }
    }

    deinit { close(descriptor) }

    /// All that comes until the end.
    func all() -> String {
        while let more = received() { text += more }
        return text
    }

    private func received() -> String? {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        // What is read is ASCII but for texts of the tests, which are short.
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// The next event; nil when none comes, or none before a deadline: where other tests keep the threads that ask
    /// the learners busy, an answer takes its time.
    func next(before deadline: ContinuousClock.Instant) -> (name: String, data: String)? {
        while ContinuousClock.now < deadline {
            while let end = text.firstRange(of: "\n\n") {
                let lines = text[..<end.lowerBound].split(separator: "\n")
                text = String(text[end.upperBound...])
                func field(_ name: String) -> String? {
                    lines.first { $0.hasPrefix("\(name): ") }.map { String($0.dropFirst(name.count + 2)) }
                }
                // A comment between events says that the stream lives.
                if let name = field("event"), let data = field("data") { return (name, data) }
            }
            guard let more = received() else { return nil }
            text += more
        }
        return nil
    }
}
