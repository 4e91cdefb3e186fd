import Foundation
import JSON
import TestSupport
import Testing

/// The processes of a run, each with its numbers for Prometheus.
@Suite struct PrometheusTests {
    /// A metric as the text format has it.
    private struct Metric: Equatable {
        var help: String
        var type: String
        /// Numbers by the text of their labels.
        var series: [String: Double] = [:]
    }

    /// Reads the text format 0.0.4 as this program writes it, and nothing else.
    private static func parse(_ text: String) throws -> [String: Metric] {
        var metrics: [String: Metric] = [:], open: String?
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        try #require(lines.popLast() == "")
        while !lines.isEmpty {
            let line = lines.removeFirst()
            if let help = line.wholeMatch(of: /# HELP ([a-z_][a-z0-9_]*) (.+)/) {
                let name = String(help.1)
                let type = try #require(lines.removeFirst().wholeMatch(of: /# TYPE ([a-z0-9_]+) (counter|gauge)/))
                try #require(type.1 == name && metrics[name] == nil, "\(line)")
                try #require((type.2 == "counter") == name.hasSuffix("_total"), "\(line)")
                metrics[name] = Metric(help: String(help.2), type: String(type.2))
                open = name
                continue
            }
            let found = try #require(
                line.wholeMatch(
                    of: /([a-z0-9_]+)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\} (-?[0-9.]+(?:e[+-][0-9]+)?)/),
                "\(line)")
            let name = String(found.1), labels = String(found.2)
            let number = try #require(Double(found.3), "\(line)")
            try #require(name == open && metrics[name]?.series[labels] == nil, "\(line)")
            metrics[name]?.series[labels] = number
        }
        return metrics
    }

    private func get(_ address: String) async throws -> String? {
        let code =
            "import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
        let end = try await Binary.run(["-c", code, address], of: "/usr/bin/python3", in: NSTemporaryDirectory())
        return end.status == 0 ? end.output : nil
    }

    private func waited<Found>(_ find: () async throws -> Found?) async throws -> Found? {
        let deadline = Date().addingTimeInterval(240)
        while Date() < deadline {
            if let found = try await find() { return found }
            try await Task.sleep(for: .milliseconds(100))
        }
        return nil
    }

    /// The address at which a process says in its log that its numbers are.
    private func address(_ process: Binary.Running) async throws -> String {
        let found = try await waited {
            process.errors.firstMatch(of: /numbers for Prometheus at 127\.0\.0\.1, port ([0-9]+)/).map { String($0.1) }
        }
        return "http://127.0.0.1:\(try #require(found, "\(process.errors)"))/metrics"
    }

    @Test func eachProcessTellsItsOwnNumbersAndTheWatcherTheSame() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 100_000)
            func start(_ arguments: [String]) throws -> Binary.Running {
                try Binary.Running(arguments, input: "", folder: folder, environment: [:])
            }
            let set = ["--set", "telemetry.prometheus_port=\(Int.random(in: 20_000..<30_000))"]
            let learner = try start(["learner", "run.yaml", "--bind", "ipc://\(folder)/l"] + set)
            let member = ["run.yaml", "--connect", "ipc://\(folder)/l"] + set
            let rollout = try start(["rollout"] + member + ["--name", "r\"0"])
            let scorer = try start(["scorer"] + member + ["--name", "s0"])
            let processes = [learner, rollout, scorer]
            defer { for process in processes { kill(process.process.processIdentifier, SIGKILL) } }
            var addresses: [String] = []
            for process in processes { addresses.append(try await address(process)) }
            #expect(Set(addresses).count == 3)
            for process in processes { #expect(try Self.isListening(process.process.processIdentifier)) }
            // Steps, an evaluation, and the learner's own lane.
            _ = try await waited {
                let metrics = try Self.parse(try await get(addresses[0]) ?? "")
                return metrics["opd_step"]?.series.values.first ?? 0 > 4
                    && metrics["opd_stage_seconds_total"] != nil ? true : nil
            }
            let worker = try Self.parse(try #require(try await get(addresses[1])))
            let mine = "run=\"tiny\",member=\"r\\\"0\",role=\"rollout\""
            #expect(worker["opd_member_tokens_total"]?.series[mine] ?? 0 > 0)
            #expect(worker["opd_member_weights_version"]?.series[mine] ?? 0 > 0)
            #expect(worker["opd_stage_seconds_total"]?.series["\(mine),stage=\"sampling\""] ?? 0 > 0)
            let grader = try Self.parse(try #require(try await get(addresses[2])))
            let its = "run=\"tiny\",member=\"s0\",role=\"scorer\""
            #expect(grader["opd_member_tokens_total"]?.series[its] ?? 0 > 0 && grader["opd_step"] == nil)
            #expect(grader["opd_member_tasks"]?.series.keys.sorted() == [its])
            // Without its members the learner stands still; what both tell is then the same, word by word.
            for process in [rollout, scorer] { kill(process.process.processIdentifier, SIGSTOP) }
            let watcher = try start(["watch", "runs/tiny", "--port", "0"])
            defer { kill(watcher.process.processIdentifier, SIGKILL) }
            let page = try #require(try await waited { watcher.output.firstMatch(of: /http:\S+/).map { String($0.0) } })
            var different: [String] = []
            let agreed = try await waited { () async throws -> [String: Metric]? in
                guard let told = try await get(addresses[0]), let seen = try await get("\(page)metrics") else {
                    return nil
                }
                let (own, watched) = (try Self.parse(told), try Self.parse(seen))
                guard watched["opd_learner_up"]?.series.values.first == 1 else { return nil }
                let names = Set(own.keys).union(watched.keys).filter { !Self.alone.contains($0) }
                different = names.filter { own[$0] != watched[$0] }.sorted()
                return different.isEmpty ? own : nil
            }
            let all = try #require(agreed, "\(different)")
            let watched = try Self.parse(try #require(try await get("\(page)metrics")))
            let told = try Self.parse(try #require(try await get(addresses[0])))
            #expect(all["opd_members"]?.series["run=\"tiny\",role=\"rollout\""] == 1)
            for name in ["opd_eval_teacher_kl", "opd_tokens_trained_total", "opd_step_seconds", "opd_queue_prompts"] {
                #expect(all[name]?.series.count == 1, "\(name)")
            }
            try await check(addresses + ["\(page)metrics"])
            try Self.checkBoard(
                told: Set(told.keys).union(worker.keys).union(grader.keys), watched: Set(watched.keys))
        }
    }

    /// What only one of watcher and learner tells.
    private static let alone: Set = [
        "opd_run_active", "opd_restarts_total", "opd_learner_up", "opd_members", "opd_stage_seconds_total",
        "opd_member_tasks", "opd_member_silence_seconds", "opd_member_tokens_per_second",
    ]

    /// The board's panels stand below the heading that says who tells their numbers.
    private static func checkBoard(told: Set<String>, watched: Set<String>) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appending(path: "cluster/grafana.json"), encoding: .utf8)
        var heading = "", found: [String: Int] = [:]
        for panel in try JSONValue.parse(text)["panels"]?.array ?? [] {
            if panel["type"]?.string == "row" { heading = panel["title"]?.string ?? "" }
            for target in panel["targets"]?.array ?? [] {
                let query = target["expr"]?.string ?? ""
                let name = String(try #require(query.firstMatch(of: /opd_[a-z0-9_]+/)).0)
                if heading.hasPrefix("From 'opd watch' alone") {
                    #expect(watched.contains(name) && !told.contains(name), "\(name)")
                } else if heading.hasPrefix("From each process") {
                    #expect(told.contains(name) && !watched.contains(name), "\(name)")
                } else {
                    #expect(told.contains(name) == watched.contains(name), "\(name)")
                }
                found[heading, default: 0] += 1
            }
        }
        #expect(found.count == 3 && found.values.allSatisfy { $0 > 2 }, "\(found)")
    }

    /// Whether a process listens at a port of TCP: the inodes of its sockets among those that do.
    private static func isListening(_ process: Int32) throws -> Bool {
        let sockets = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").compactMap {
            try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/fd/\($0)")
        }
        return ["tcp", "tcp6"].contains { table in
            let text = (try? String(contentsOfFile: "/proc/\(process)/net/\(table)", encoding: .utf8)) ?? ""
            return text.split(separator: "\n").contains { line in
                let fields = line.split(separator: " ")
                // State 0A is LISTEN.
                return fields.count > 9 && fields[3] == "0A" && sockets.contains("socket:[\(fields[9])]")
            }
        }
    }

    @Test func withoutItsKeyNothingIsOpened() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 100_000)
            func start(_ arguments: [String]) throws -> Binary.Running {
                try Binary.Running(arguments, input: "", folder: folder, environment: [:])
            }
            let learner = try start(["learner", "run.yaml", "--bind", "ipc://\(folder)/l"])
            let rollout = try start(["rollout", "run.yaml", "--connect", "ipc://\(folder)/l"])
            let scorer = try start(["scorer", "run.yaml", "--connect", "ipc://\(folder)/l"])
            let processes = [learner, rollout, scorer]
            defer { for process in processes { kill(process.process.processIdentifier, SIGKILL) } }
            // All of them are there when steps are done.
            let steps = try await waited { () -> Int? in
                let text = try? String(contentsOfFile: "\(folder)/runs/tiny/metrics.jsonl", encoding: .utf8)
                let count = text?.split(separator: "\n").count ?? 0
                return count > 2 ? count : nil
            }
            #expect(steps != nil)
            for process in processes {
                #expect(try !Self.isListening(process.process.processIdentifier))
                #expect(!process.errors.contains("numbers for Prometheus"))
            }
        }
    }

    /// Where Prometheus is installed, it finds nothing to complain of.
    private func check(_ addresses: [String]) async throws {
        let tool = "/usr/bin/promtool"
        guard FileManager.default.isExecutableFile(atPath: tool) else { return }
        for address in addresses {
            let text = try await get(address) ?? ""
            let checked = try await Binary.run(
                ["check", "metrics"], of: tool, input: text, in: NSTemporaryDirectory())
            #expect(checked.status == 0 && checked.errors.isEmpty, "\(address): \(checked.errors)")
        }
    }

    /// Numbers are a service to others: where they cannot be had the run goes on, and says so.
    @Test func aRunGoesOnWithoutItsPort() async throws {
        try await withTemporaryFolder { folder in
            try TinyModel.writeRun(in: folder, steps: 1)
            let end = try await Binary.run(
                [
                    "run", "run.yaml", "--set", "telemetry.prometheus_port=9464", "--set",
                    "telemetry.prometheus_host=no.such.invalid",
                ], in: folder)
            #expect(end.status == 0, "\(end.errors)")
            #expect(end.errors.contains("no numbers for Prometheus: cannot listen at no.such.invalid"))
        }
    }
}
