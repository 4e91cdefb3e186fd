import Configuration
import Testing

/// Models behind HTTP in a configuration.
@Suite struct ServerConfigurationTests {
    private func text(_ teachers: String, _ more: String = "") -> String {
        "name: a\nstudent: { model: s }\nteachers: \(teachers)\ndata: { prompts: p }\n\(more)"
    }

    private func read(_ teachers: String, _ more: String = "") throws -> RunConfiguration {
        try RunConfiguration.parse(text(teachers, more), source: "c", requiring: []).configuration
    }

    private func problems(_ teachers: String, _ more: String = "") -> String {
        do {
            _ = try read(teachers, more)
            return ""
        } catch {
            return "\(error)"
        }
    }

    private let served =
        "{ default: { server: { kind: vllm, urls: [\"http://10.0.0.7:8000/\", https://h], model: Q/q, requests: 3 }, tokenizer: t } }"

    @Test func readsServersAndWritesThemBack() throws {
        let more = "rollout: { engine: server, server: { url: \"http://127.0.0.1:8000\" } }"
        let configuration = try read(served, more)
        let server = try #require(configuration.teachers["default"]?.server)
        #expect(server.urls == ["http://10.0.0.7:8000", "https://h"])
        #expect(server.model == "Q/q" && server.requests == 3 && server.kind == .vllm)
        #expect(configuration.rollout.engine == .server && configuration.rollout.server.isLocal && !server.isLocal)
        for marking in [false, true] {
            let again = try RunConfiguration.parse(
                configuration.yaml(markingDefaults: marking), source: "c", requiring: [])
            #expect(again.configuration == configuration)
        }
        // A teacher of files has no keys of servers, and one of servers no empty path.
        let plain = try read("{ default: { model: m } }").yaml()
        #expect(!plain.contains("server:") && plain.contains("    model: m\n    dtype: bf16\n"))
        #expect(!configuration.yaml().contains("    model: ''"))
    }

    @Test(arguments: [
        ("{ default: { server: { urls: http://h } } }", "teachers.default.tokenizer: missing"),
        ("{ default: { tokenizer: t } }", "teachers.default.model: missing"),
        ("{ default: { model: m, server: { model: x } } }", "urls are missing"),
        ("{ default: { server: { kind: ollama, urls: http://h }, tokenizer: t } }", "takes no token ids"),
        (
            "{ default: { server: { kind: llamacpp, urls: http://h }, tokenizer: t } }",
            "log-probabilities of given tokens"
        ),
        ("{ default: { server: { kind: tgi, urls: http://h }, tokenizer: t } }", "expected one of vllm"),
        ("{ default: { server: { urls: http://h, temperature: 0.7 }, tokenizer: t } }", "at temperature 1"),
        ("{ default: { server: { urls: ftp://h }, tokenizer: t } }", "got 'ftp://h'"),
        ("{ default: { server: { urls: http://u@h }, tokenizer: t } }", "got 'http://u@h'"),
        ("{ default: { server: { urls: http://h/v1 }, tokenizer: t } }", "got 'http://h/v1'"),
        ("{ default: { server: { urls: [http://h, http://h/] }, tokenizer: t } }", "given twice"),
        ("{ default: { server: { urls: [] }, tokenizer: t } }", "expected 1 to 256 addresses"),
    ])
    func refusesWhatCannotBe(_ teachers: String, _ reason: String) {
        #expect(problems(teachers).contains(reason), "\(problems(teachers))")
    }

    @Test func refusesASamplerThatCannotBe() {
        func rollout(_ text: String, _ more: String = "") -> String {
            problems("{ default: { model: m } }", "rollout: \(text)\n\(more)")
        }
        #expect(rollout("{ engine: server, server: { url: http://localhost:80 } }") == "")
        #expect(rollout("{ engine: server }").contains("rollout.server.url: missing"))
        #expect(rollout("{ engine: server, server: { url: http://10.0.0.1:80 } }").contains("both are on one machine"))
        #expect(
            rollout("{ engine: server, server: { url: http://localhost } }", "pipeline: { workers: 2 }")
                .contains("pipeline.workers"))
        #expect(
            rollout("{ engine: server, server: { url: http://localhost } }", "objective: { kind: off_policy }")
                .contains("rollout.engine"))
        #expect(problems(served, "evaluation: { teachers: true }").contains("evaluation.teachers"))
    }

    @Test func warnsOfAKeyInPlainText() throws {
        let key = "{ default: { server: { urls: http://10.0.0.7:80, key_file: k }, tokenizer: t } }"
        #expect(try read(key).warnings.contains { $0.contains("plain text") })
        let local = "{ default: { server: { urls: http://127.0.0.1:80, key_file: k }, tokenizer: t } }"
        #expect(try !read(local).warnings.contains { $0.contains("plain text") })
    }

    @Test func aResumedRunMayFindItsServersElsewhere() throws {
        let old = try read(served)
        let moved = try read(served.replacing("10.0.0.7", with: "10.0.0.9"))
        #expect(moved.refusedChanges(since: old, to: .resume) == [])
        let other = try read(served.replacing("Q/q", with: "Q/r"))
        #expect(other.refusedChanges(since: old, to: .resume).count == 1)
    }
}
