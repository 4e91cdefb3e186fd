import Configuration
import Files
import Foundation
import Placement
import TestSupport
import Testing

@Suite struct HostFilesTests {
    private static func configuration() throws -> RunConfiguration {
        try RunConfiguration.parse(
            """
            name: x
            student: { model: models/student }
            teachers: { math: { model: /m/math }, code: { model: /m/code } }
            data: { prompts: p.jsonl, heldout: "held out.jsonl" }
            security: { learner_key: k/l.key, learner_public_key: k/l.pub, rollout_key: k/r.key, scorer_key: k/s.key,
              rollout_clients: k/r.list, scorer_clients: k/s.list }
            """, source: "run.yaml", requiring: []
        ).configuration
    }

    private static func process(_ role: PlacedProcess.Role) -> PlacedProcess {
        PlacedProcess(name: "\(role.command)-0", role: role, host: "a", arguments: [role.command])
    }

    private static func files(_ roles: [PlacedProcess.Role], _ layout: HostLayout) throws -> HostFiles {
        let configuration = try configuration()
        let processes = roles.map(process)
        return HostFiles(
            configuration, processes, layout, keys: HostKeys(configuration)?.needed(by: processes),
            directory: "/home/me")
    }

    private static let elsewhere = HostLayout.elsewhere(folder: "opd", run: "x-0a", site: "here")

    private func sources(_ files: HostFiles, _ use: PlacedFile.Use) -> [String] {
        files.files.filter { $0.use == use }.map(\.source).sorted()
    }

    @Test func everyMachineGetsWhatItsProcessesNeedAndNoMore() throws {
        let learner = try Self.files([.learner], Self.elsewhere)
        #expect(
            sources(learner, .model) == ["/home/me/held out.jsonl", "/home/me/models/student", "/home/me/p.jsonl"])
        #expect(sources(learner, .key) == ["/home/me/k/l.key", "/home/me/k/s.key"])
        #expect(sources(learner, .settings) == ["/home/me/k/l.pub", "/home/me/k/r.list", "/home/me/k/s.list"])
        let worker = try Self.files([.rollout(teacher: nil)], Self.elsewhere)
        #expect(sources(worker, .model) == ["/home/me/models/student"] && sources(worker, .key) == ["/home/me/k/r.key"])
        let scorer = try Self.files([.scorer(teacher: "code")], Self.elsewhere)
        #expect(sources(scorer, .model) == ["/m/code"] && sources(scorer, .key) == ["/home/me/k/s.key"])
    }

    @Test func pathsAreThoseOfTheMachineAndKeepTheirLastPart() throws {
        let there = try Self.files([.learner], Self.elsewhere)
        let student = there.configuration.student.model
        #expect(student.hasPrefix("files/") && student.hasSuffix("/student"))
        #expect(there.configuration.security.learnerKey == "up/x-0a/keys/learner.key")
        #expect(there.configuration.security.rolloutKey == nil)
        #expect(there.files.contains { $0.source == "/home/me/models/student" && $0.place == student })
        // What a checkpoint compares is the same.
        #expect(
            there.configuration.refusedChanges(since: try Self.configuration(), to: .resume).isEmpty)

        let here = try Self.files([.learner], .here(folder: "/home/me", program: "/bin/opd", records: "/r"))
        #expect(here.configuration.student.model == "/home/me/models/student")
        #expect(here.configuration.security.learnerKey == "/home/me/k/l.key")
    }

    /// An account on a machine may be given runs of one name from two machines.
    @Test func runsOfOneNameFromTwoMachinesShareNothing() {
        let other = HostLayout.elsewhere(folder: "opd", run: "x-0b", site: "there")
        #expect(other.control != Self.elsewhere.control)
        #expect(other.configuration != Self.elsewhere.configuration)
        #expect(other.key("rollout.key") != Self.elsewhere.key("rollout.key"))
        #expect(other.place(of: "/m/student") != Self.elsewhere.place(of: "/m/student"))
        let (first, second) = (
            PlacementRecord(name: "x", runFolder: "r", learner: "a"),
            PlacementRecord(name: "x", runFolder: "r", learner: "a")
        )
        #expect(first.nameThere != second.nameThere && first.nameThere.hasPrefix("x-"))
    }

    @Test func keysAreMadeForMachinesToComeAndNotBehindALearnersBack() throws {
        try withTemporaryFolder { folder in
            let ring = KeyRing(records: folder)
            try ring.prepare(for: 3, isListening: false)
            let keys = ring.keys(number: 2, [Self.process(.rollout(teacher: nil))])
            #expect(keys.rollout == "\(folder)/keys/rollout-2.key" && keys.scorer == nil && keys.learner == nil)
            var status = stat()
            #expect(stat(keys.rollout!, &status) == 0 && status.st_mode & 0o777 == 0o600)
            let list = try String(contentsOfFile: "\(folder)/keys/rollout.clients", encoding: .utf8)
            #expect(list.split(separator: "\n").count == 1 + 3 + 16)
            try ring.prepare(for: 10, isListening: true)
            #expect(throws: (any Error).self) { try ring.prepare(for: 100, isListening: true) }
            #expect(try String(contentsOfFile: "\(folder)/keys/rollout.clients", encoding: .utf8) == list)
            try ring.prepare(for: 100, isListening: false)
            let longer = try String(contentsOfFile: "\(folder)/keys/rollout.clients", encoding: .utf8)
            #expect(longer.hasPrefix(list), "who may join may join still")
        }
    }

    @Test func plainTextNeedsAPrivateNetworkThatIsSaidToBeOne() throws {
        var configuration = RunConfiguration()
        var learner = HostsFile.Learner()
        #expect(!KeyRing.isNeeded(for: configuration, learner))
        learner.address = "10.0.0.1"
        #expect(KeyRing.isNeeded(for: configuration, learner))
        configuration.pipeline.allowPlaintext = true
        #expect(!KeyRing.isNeeded(for: configuration, learner))
        #expect(try !KeyRing.isNeeded(for: Self.configuration(), learner), "it has its own")
    }

    @Test func aRecordIsReadBack() throws {
        var record = PlacementRecord(name: "x", runFolder: "runs/x y", learner: "a")
        record.hosts = [
            "a": .init(ssh: "me@a", folder: "it's \"here\"", key: 1), "here": .init(ssh: nil, folder: "/", key: 2),
        ]
        record.hosts["a"]?.isPaused = true
        record.hasBegun = true
        record.keysGiven = 3
        #expect(try PlacementRecord(json: record.json) == record)
        #expect(throws: (any Error).self) {
            _ = try PlacementRecord(json: record.json.replacing("me@a", with: "-oProxyCommand=x"))
        }
        #expect(throws: (any Error).self) { _ = try PlacementRecord(json: "{}") }
        #expect(throws: (any Error).self) {
            _ = try PlacementRecord(json: record.json.replacing(record.id, with: "../../x"))
        }
        // An earlier version's processes are found where that put them.
        let old = try PlacementRecord(json: record.json.replacing("\"id\": \"\(record.id)\", ", with: ""))
        #expect(old.id.isEmpty && old.nameThere == "x")
    }
}
