import Distillation
import Testing

@Suite struct VerifierTests {
    private func passes(_ verifier: Verifier, _ response: String, answer: String = "42") throws -> Bool {
        try AnswerCheck(answer: answer, verifier: verifier).verdict(on: response).passed
    }

    @Test(arguments: [
        ("42", true), (" 42\n", true), ("042", false), ("42.", false), ("", false), ("x42", false),
    ])
    func exactTakesTheAnswerAndNothingElse(response: String, passed: Bool) throws {
        #expect(try passes(.exact(after: nil, ignoresCase: false), response) == passed)
    }

    @Test func exactLooksBehindTheLastMarkerOnly() throws {
        let verifier = Verifier.exact(after: ":", ignoresCase: true)
        #expect(try passes(verifier, "a:1,b: yes ", answer: "Yes"))
        #expect(try !passes(verifier, "yes", answer: "Yes"), "a response without the marker was cut short")
        #expect(try !passes(verifier, "yes:", answer: "Yes"))
    }

    @Test(arguments: [
        ("The answer is 42.", true), ("41, no: 42", true), ("42, or 43", false), ("= +42.0", true), ("4.2e1", true),
        ("1,042", false), ("-42", false), ("50-42", true), ("forty-two", false), ("0042", true),
    ])
    func numericTakesTheLastNumber(response: String, passed: Bool) throws {
        #expect(try passes(.numeric(after: nil, tolerance: 0), response) == passed)
    }

    @Test func numbersAreComparedExactlyOrWithinTheTolerance() throws {
        let exact = Verifier.numeric(after: nil, tolerance: 0)
        // Both are 2^53 as Double.
        #expect(try !passes(exact, "9007199254740993", answer: "9007199254740992"))
        #expect(try passes(exact, "9,007,199,254,740,993", answer: "9007199254740993"))
        let near = Verifier.numeric(after: "=", tolerance: 0.01)
        #expect(try passes(near, "pi = 3.14", answer: "3.1416"))
        #expect(try !passes(near, "pi = 3.1", answer: "3.1416"))
        #expect(try !passes(near, "3.14", answer: "3.1416"))
        #expect(throws: VerifierError("verifier numeric needs an answer that is a number, not 'many'")) {
            try AnswerCheck(answer: "many", verifier: near)
        }
    }

    @Test func aPatternIsFoundOrTheAnswerIsThePattern() throws {
        let pattern = try ResponsePattern(#"^\s*(yes|no)\b"#)
        #expect(try passes(.regex(pattern, after: nil), " yes, of course"))
        #expect(try !passes(.regex(pattern, after: nil), "of course, yes"))
        #expect(try passes(.regex(nil, after: ":"), "no:4 2", answer: #"^\d \d$"#))
        let wrong = #expect(throws: VerifierError.self) { try ResponsePattern("a(") }
        #expect(wrong?.message.hasPrefix("pattern 'a(' is wrong at byte 2: ") == true)
        let empty = #expect(throws: VerifierError.self) {
            try AnswerCheck(answer: "", verifier: .regex(nil, after: nil))
        }
        #expect(empty?.message == "verifier regex needs a pattern")
    }

    /// One that backtracks for ever costs some milliseconds, the reward, and a clear line.
    @Test func aPatternThatNeverEndsGivesUp() throws {
        let pattern = try ResponsePattern("^(a+)+$")
        let verdict = try AnswerCheck(answer: "", verifier: .regex(pattern, after: nil))
            .verdict(on: String(repeating: "a", count: 60) + "!")
        #expect(verdict.reward == 0 && !verdict.passed)
        let flaw = try #require(verdict.flaw)
        #expect(flaw.hasPrefix("pattern '^(a+)+$' gives up on a response of 61 bytes: "))
        #expect(flaw.hasSuffix("; write it so that it cannot backtrack"))
        #expect(throws: VerifierError.self) { try ResponsePattern(String(repeating: "a", count: 5000)) }
    }

    @Test(arguments: [
        ("uppercase", "A-B 1", true), ("uppercase", "A-b", false), ("uppercase", "12", false),
        ("lowercase", "abc", true), ("lowercase", "aBc", false), ("words 2", " two words ", true),
        ("words 2", "three words here", false), ("min_words 2", "one", false), ("max_words 2", "a b", true),
        ("lines 2", "a\n\nb\n", true), ("lines 2", "a", false), ("max_characters 3", "abc ", true),
        ("max_characters 3", "abcd", false), ("starts_with Dear", "Dear all", true), ("ends_with .", "a. ", true),
        ("ends_with .", "a", false), ("contains a b", "xa by", true), ("excludes z", "abz", false),
        ("enclosed []", "[a]", true), ("enclosed []", "[a", false), ("enclosed []", "[", false),
        ("items dash b a", "A-B", true), ("items dash b a", "[b-a]", true), ("items dash b a", "b-a-a", false),
        ("items dash b a", "b-", false), ("sequence comma b a", "B,A", true), ("sequence comma b a", "a,b", false),
        ("sorted plus", "a+b+C", true), ("sorted plus", "b+a", false), ("sorted plus", "a", false),
        ("descending dot", "c.b.a", true), ("descending dot", "a.b", false),
    ])
    func rulesAreCheckedAsTheySay(rule: String, response: String, kept: Bool) throws {
        let parsed = try FormatRule(rule)
        #expect("\(parsed)" == rule, "a rule is written as it is read")
        #expect(try passes(.rules([parsed]), response) == kept)
    }

    @Test func theRewardOfRulesIsTheShareThatIsKept() throws {
        let rules = try ["uppercase", "words 1", "starts_with A", "ends_with !"].map { try FormatRule($0) }
        let check = try AnswerCheck(answer: "", verifier: .rules(rules))
        #expect(check.verdict(on: "ABC") == Verdict(reward: 0.75, passed: false))
        #expect(check.verdict(on: "AB!") == Verdict(reward: 1, passed: true))
        #expect(check.verdict(on: "").reward == 0)
    }

    @Test(arguments: [
        ("words", "rule 'words' takes a number, such as 'words 5', not ''"),
        ("words many", "rule 'words' takes a number, such as 'words 5', not 'many'"),
        ("contains", "rule 'contains' takes a text, such as 'contains word'"),
        ("enclosed [", "rule 'enclosed' takes two characters, such as 'enclosed []'"),
        ("sorted", "rule 'sorted' takes one of comma, dash, dot, plus, slash, space, not ''"),
        ("items dash", "rule 'items' takes items, such as 'items dash a b'"),
    ])
    func aRuleThatCannotBeIsNamed(rule: String, message: String) {
        #expect(throws: VerifierError(message)) { try FormatRule(rule) }
    }

    @Test func anUnknownRuleListsTheKnown() {
        let error = #expect(throws: VerifierError.self) { try FormatRule("upercase") }
        #expect(error?.message.hasPrefix("unknown rule 'upercase'; expected one of uppercase, lowercase, ") == true)
    }
}
