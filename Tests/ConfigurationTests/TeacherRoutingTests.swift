import Configuration
import Foundation
import Testing

/// Which teachers a prompt has, and what each of them counts.
@Suite struct TeacherRoutingTests {
    private func teachers(
        _ text: String, as name: String = "p.jsonl", routes: [String: [String]] = [:], default: String? = "default"
    ) throws -> [[String]] {
        try PromptFile.parse(
            Data(text.utf8), source: name, teachers: ["default", "math", "style"], defaultTeacher: `default`,
            routes: routes
        ).map(\.teachers)
    }

    @Test func aLineMayNameSeveral() throws {
        let lines = """
            {"prompt": "a", "teacher": ["style", "math"]}
            {"prompt": "b", "teacher": "math"}
            {"prompt": "c"}
            """
        #expect(try teachers(lines) == [["style", "math"], ["math"], ["default"]])
        let table = "prompt,teacher\na,\"[\"\"math\"\", \"\"style\"\"]\"\nb,math\n"
        #expect(try teachers(table, as: "p.csv") == [["math", "style"], ["math"]])
    }

    @Test func tagsFindTeachersWhereNoneIsNamed() throws {
        let routes = ["math": ["sums", "proofs"], "style": ["letters", "proofs"]]
        let lines = """
            {"prompt": "a", "tags": ["sums"]}
            {"prompt": "b", "tags": ["easy", "proofs"]}
            {"prompt": "c", "tags": ["other"]}
            {"prompt": "d", "tags": ["sums"], "teacher": "default"}
            """
        #expect(try teachers(lines, routes: routes) == [["math"], ["math", "style"], ["default"], ["default"]])
        #expect(throws: ConfigurationError.self) { try teachers(lines, routes: routes, default: nil) }
    }

    @Test(arguments: [
        ("[]", "'teacher' must be a text, or a list of texts"),
        ("[\"math\", 1]", "'teacher' must be a text, or a list"),
        ("[\"math\", \"maths\"]", "unknown teacher 'maths'; the configuration has default, math, style"),
        ("[\"math\", \"math\"]", "'teacher' names 'math' twice"), ("3", "'teacher' must be text"),
    ]) func aBadListIsNamed(value: String, message: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try teachers("{\"prompt\": \"a\", \"teacher\": \(value)}")
        }
        #expect(error?.description.hasPrefix("p.jsonl:1: \(message)") == true, "\(error?.description ?? "")")
    }

    @Test func keysBecomeRoutesAndShares() throws {
        let text = minimal.replacing(
            "teachers: { default: { model: t } }",
            with: "teachers: { default: { model: t, weight: 3 }, math: { model: m, tags: [sums, proofs] } }")
        let configuration = try parse(text)
        #expect(configuration.routes == ["math": ["sums", "proofs"]])
        #expect(configuration.shares(of: ["default", "math"]) == [0.75, 0.25])
        #expect(configuration.shares(of: ["math"]) == [1])
        #expect(try parse(configuration.yaml(markingDefaults: true)) == configuration)
        #expect(problems(text, ["teachers.math.weight=0"]).count == 1)
        let other = try parse(text, ["teachers.math.weight=2", "teachers.math.tags=sums"])
        #expect(other.refusedChanges(since: configuration, to: .resume).count == 2)
    }
}
