import Configuration
import Placement
import Testing

@Suite struct HostsFileTests {
    private static let whole = """
        learner: { host: trainer, address: 10.0.0.1, port: 7200 }
        folder: opd runs
        hosts:
          trainer: { threads: 8 }
          sampler: { ssh: me@10.0.0.7, folder: /data/it's, workers: 2 }
          grader: { scorers: { math: 2, code: 1 } }
          idle:
        """

    private func problems(_ text: String) -> [String] {
        do {
            _ = try HostsFile.parse(text, source: "hosts.yaml")
            return []
        } catch { return error.problems.map(\.description) }
    }

    @Test func everyKeyIsRead() throws {
        let file = try HostsFile.parse(Self.whole, source: "hosts.yaml")
        #expect(file.learner.host == "trainer")
        #expect(file.learner.endpoint == "tcp://10.0.0.1:7200" && file.learner.listening == "tcp://10.0.0.1:7200")
        #expect(file.hosts.keys.sorted() == ["grader", "idle", "sampler", "trainer"])
        #expect(file.hosts["trainer"]?.folder == "opd runs" && file.hosts["trainer"]?.threads == 8)
        #expect(file.hosts["sampler"]?.ssh == "me@10.0.0.7" && file.hosts["sampler"]?.folder == "/data/it's")
        #expect(file.hosts["sampler"]?.workers == .each(2))
        #expect(file.hosts["grader"]?.scorers == .by(["math": 2, "code": 1]))
    }

    @Test func theLearnerIsHereUnlessItIsElsewhere() throws {
        let file = try HostsFile.parse("hosts: { here: { workers: 1 } }", source: "hosts.yaml")
        #expect(file.learner.host == "here" && file.learner.endpoint == "tcp://127.0.0.1:7177")
        let other = try HostsFile.parse(
            "learner: { address: '::1', bind: 0.0.0.0 }\nhosts: { a: { workers: 1 } }", source: "hosts.yaml")
        #expect(other.hosts["here"] != nil)
        #expect(other.learner.endpoint == "tcp://[::1]:7177" && other.learner.listening == "tcp://0.0.0.0:7177")
    }

    @Test func mistakesAreToldWithTheirLines() {
        #expect(
            problems("hosts:\n  a: { worker: 1 }") == [
                "hosts.yaml:2: hosts.a.worker: unknown key; did you mean 'workers'?"
            ])
        #expect(problems("hosts:\n  a: { workers: 1 }")[0].contains("learner.address: missing"))
        #expect(
            problems("learner: { host: b, address: x }\nhosts:\n  a: { workers: 1 }")[0].hasPrefix(
                "hosts.yaml:1: learner.host: 'b' is not among the hosts"))
        #expect(problems("learner: { port: 0 }")[0].hasPrefix("hosts.yaml:1: learner.port: expected a whole number"))
        #expect(problems("- a\n- b")[0].contains("expected a section with learner, folder, hosts"))
        #expect(problems("")[0].contains("is empty"))
        #expect(problems("hosts: { a: { workers: 1 }")[0].contains("is not YAML"))
        #expect(problems("hosts:\n  here: { ssh: other }")[0].contains("'here' is this machine"))
        #expect(problems(String(repeating: "# *a\n", count: 17))[0].contains("more than 16 '*'"))
    }

    @Test(arguments: [
        "hosts: { '-oProxyCommand=x': { workers: 1 } }", "hosts: { 'a b': { workers: 1 } }",
        "hosts: { a: { ssh: '-oProxyCommand=x' } }", "hosts: { a: { ssh: 'a;b' } }",
        "hosts: { a: { ssh: \"a\\nb\" } }", "hosts: { \"a\\nb\": { workers: 1 } }", "hosts: { a: { ssh: 'a:b' } }",
        "hosts: { a: { folder: '~/x' } }", "hosts: { a: { folder: '-x' } }", "hosts: { a: { folder: \"a\\nb\" } }",
        "hosts: { a: { folder: ../x } }", "learner: { address: '-x' }", "learner: { address: 'a b' }",
    ])
    func namesThatCouldBeTakenForSomethingElseAreRefused(_ text: String) {
        #expect(problems(text).count == 1 && problems(text)[0].contains("expected"), "\(problems(text))")
    }

    @Test func processesFollowFromHostsAndTeachers() throws {
        let file = try HostsFile.parse(Self.whole, source: "hosts.yaml")
        var configuration = RunConfiguration()
        configuration.teachers = ["math": .init(), "code": .init()]
        let all = try PlacedProcess.all(file, configuration, source: "hosts.yaml")
        #expect(
            all.map(\.name) == [
                "learner", "scorer-grader-code-0", "scorer-grader-math-0", "scorer-grader-math-1", "rollout-sampler-0",
                "rollout-sampler-1",
            ])
        #expect(
            all[0].arguments == ["learner", "--bind", "tcp://10.0.0.1:7200", "--set", "pipeline.threads=8"])
        #expect(
            all[1].arguments == [
                "scorer", "--connect", "tcp://10.0.0.1:7200", "--name", "scorer-grader-code-0", "--teacher", "code",
            ])
        #expect(Set(all.map(\.fingerprint)).count == all.count)

        configuration.teachers = ["math": .init()]
        let error = #expect(throws: ConfigurationError.self) {
            _ = try PlacedProcess.all(file, configuration, source: "hosts.yaml")
        }
        #expect(error?.description == "hosts.yaml: hosts.grader.scorers.code: is no teacher of this run; it has: math")
    }
}
