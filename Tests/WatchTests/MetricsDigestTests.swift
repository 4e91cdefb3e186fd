import Distillation
import Foundation
import JSON
import RunFiles
import Testing
import Watch

@Suite struct MetricsDigestTests {
    @Test func aShortRunIsShownNumberByNumber() throws {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.lines(0...30), to: fixture.run.metrics)
        let document = try fixture.document()
        #expect(document["lines_per_point"] == 1 && document["steps_done"]?.int == 30)
        #expect(document["ends"]?["step"]?.array?.compactMap(\.int) == Array(1...30))
        #expect(document["ends"]?["tokens"]?.array?.compactMap(\.int) == (1...30).map { 10 * $0 })
        #expect(document["ends"]?["seconds"]?.array?.last?.double == 15.5)
        #expect(document["ends"]?["flops"] == nil)
        #expect(
            document["series"]?["teacher_kl"]?["mean"]?.array?.compactMap(\.double)
                == (1...30).map { 1 / Double($0 + 1) })
        #expect(document["series"]?["teacher_kl"]?["low"] == nil)
        // Every other step has none.
        let entropy = document["series"]?["entropy"]?["mean"]?.array
        #expect(entropy?[0].double == 0.5 && entropy?[1].isNull == true)
        // What the run does not have is absent, and a rate of nothing is not a rate.
        for name in ["reward_mean", "mismatch_max", "scoring_tokens_per_second"] {
            #expect(document["series"]?[name] == nil, "\(name)")
        }
        #expect(document["evaluations"]?["ends"]?["step"]?.array?.compactMap(\.int) == [0, 10, 20, 30])
        #expect(document["evaluations"]?["eval_teacher_kl"]?.array?[0].double == 2)
        #expect(document["evaluations"]?["eval_teacher_pass_at_1"] == nil)
        #expect(document["ledger"]?["generated"]?.int == 360 && document["ledger"]?["in_flight"]?.int == 30)
    }

    /// What only runs that compare whole distributions have.
    @Test func divergencesAreShown() throws {
        let fixture = try RunFolderFixture()
        let lines = (1...4).map { number in
            var step = RunFolderFixture.step(number)
            step.training?.divergence = 1 / Double(number)
            step.training?.tail = 0.25
            step.training?.teacherTail = 0.125
            step.training?.clampFraction = 0.5
            return step.jsonLine + "\n"
        }
        try fixture.write(lines.joined(), to: fixture.run.metrics)
        let document = try fixture.document()
        func series(_ name: String) -> [Double]? { document["series"]?[name]?["mean"]?.array?.compactMap(\.double) }
        #expect(series("divergence") == [1, 0.5, 1.0 / 3, 0.25])
        #expect(series("tail_mass") == [0.25, 0.25, 0.25, 0.25] && series("clamp_fraction")?.count == 4)
        let facts = RunDigest.facts(of: fixture.run)
        #expect(facts.contains { $0.label == "divergence" && $0.text.hasPrefix("0.2500") })
        #expect(facts.contains { $0.label == "not listed" && $0.text == "student 0.2500, teacher 0.1250" })
    }

    /// Names that are the run's own get curves of their own, from the line on in which they first come; in bounded number.
    @Test func partsOfTheDivergenceAreShown() throws {
        let fixture = try RunFolderFixture()
        let lines = (1...600).map { number in
            var step = RunFolderFixture.step(number)
            if number > 300 {
                let tags = Dictionary(uniqueKeysWithValues: (0..<100).map { ("tag\($0)\"", Double($0)) })
                step.training?.parts = DivergenceParts(
                    positions: [0.5, 0.25, nil, nil, nil], teachers: ["a": Double(number), "</script>": 2], tags: tags)
                step.training?.teacherChoice = 0.75
                step.training?.teacherEntropy = 1.5
            }
            return step.jsonLine + "\n"
        }
        let broken = lines[599].replacing("\"teacher_kl_by_teacher\": {", with: "\"teacher_kl_by_teacher\": [{")
            .replacing("}, \"teacher_kl_by_tag\"", with: "}], \"teacher_kl_by_tag\"")
        try fixture.write(lines.dropLast().joined() + broken, to: fixture.run.metrics)
        var bounds = RunDigest.Bounds()
        bounds.points = 256
        let document = try JSONValue.parse(fixture.digest(bounds).document)
        let width = try #require(document["lines_per_point"]?.int)
        func means(_ name: String) -> [Double?]? { document["series"]?[name]?["mean"]?.array?.map(\.double) }
        let own = try #require(means("teacher_kl_by_teacher/a"))
        #expect(width == 4 && own.count == 150 && own[74] == nil && own[75] == 302.5)
        // The last line's are no numbers.
        #expect(own[149] == 598 && means("teacher_kl_by_teacher/</script>")?[149] == 2)
        #expect(means("teacher_kl_from_16")?[149] == 0.25 && means("teacher_kl_from_64") == nil)
        #expect(means("teacher_choice_fraction")?[149] == 0.75 && means("teacher_entropy")?[149] == 1.5)
        let names = document["series"]?.object?.members.map(\.key) ?? []
        #expect(names.count { $0.hasPrefix("teacher_kl_by_") } == 64 && names.contains("teacher_kl_by_tag/tag0\""))
        func notes(_ text: String) throws -> [String] {
            try fixture.write(text, to: fixture.run.metrics)
            return try fixture.document()["notes"]?.array?.compactMap(\.string) ?? []
        }
        #expect(try notes(lines.joined()).contains { $0.contains("that it names 64 are shown") })
        #expect(try notes(lines[..<300].joined()).allSatisfy { !$0.contains("that it names") })
        // Few names, one of them too long.
        var step = RunFolderFixture.step(1)
        step.training?.parts = DivergenceParts(
            positions: [], teachers: ["a": 1], tags: [String(repeating: "x", count: 300): 2])
        #expect(try notes(step.jsonLine + "\n").contains { $0.contains("that it names 1 are shown") })
    }

    @Test func aLongRunIsShownInABoundedNumberOfPoints() throws {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.lines(0...5000), to: fixture.run.metrics)
        var bounds = RunDigest.Bounds()
        bounds.points = 256
        let text = fixture.digest(bounds).document
        let document = try JSONValue.parse(text)
        #expect(text.utf8.count < 150_000)
        let width = try #require(document["lines_per_point"]?.int)
        #expect(width == 32)
        let series = try #require(document["series"]?["grad_norm"])
        let means = series["mean"]?.array?.compactMap(\.double) ?? []
        #expect(means.count == 157)
        for (index, mean) in means.enumerated() {
            let steps = (1 + index * width)...min(5000, (index + 1) * width)
            let expected = Double(steps.lowerBound + steps.upperBound) / 2 / 3
            #expect(abs(mean - expected) <= 1e-6 * expected)
            let (low, high) = (series["low"]?.array?[index].double ?? 0, series["high"]?.array?[index].double ?? 0)
            #expect(abs(low - Double(steps.lowerBound) / 3) < 1e-3 && abs(high - Double(steps.upperBound) / 3) < 1e-3)
        }
        // An even choice of the 501 evaluations is left, the first and the last among them, each exact.
        let steps = document["evaluations"]?["ends"]?["step"]?.array?.compactMap(\.int) ?? []
        #expect(steps.first == 0 && steps.last == 5000 && steps.count <= 257 && steps.count > 100)
        let values = document["evaluations"]?["eval_teacher_kl"]?.array?.compactMap(\.double) ?? []
        #expect(values == steps.map { 2 / Double($0 + 1) })
        // What stands in tables is of the file, not of a curve.
        #expect(document["last"]?["grad_norm"]?["last"]?["value"]?.double == 5000.0 / 3)
    }

    @Test func whatIsNoStepIsLeftOutAndSaid() throws {
        let fixture = try RunFolderFixture()
        var lines = RunFolderFixture.lines(0...3).split(separator: "\n").map(String.init)
        lines.insert("{\"step\": 2, \"teacher_kl\": \"much\"}", at: 2)
        lines.insert("{\"step\": -1, \"version\": 0}", at: 2)
        lines.insert(String(repeating: "[", count: 3 << 20), at: 3)
        lines.append(lines[1])
        lines.append("{\"step\": 4")
        try fixture.write(lines.joined(separator: "\n") + "\n{\"step\": 5", to: fixture.run.metrics)
        let document = try fixture.document()
        #expect(document["ends"]?["step"]?.array?.compactMap(\.int) == [1, 2, 3])
        let notes = document["notes"]?.array?.compactMap(\.string) ?? []
        #expect(notes.contains { $0.contains("5 of its lines are no steps") && $0.contains("line 3") }, "\(notes)")
    }

    @Test func badStepsAndRestartsAreMarked() throws {
        let fixture = try RunFolderFixture()
        var bad = RunFolderFixture.step(2)
        bad.training = nil
        bad.skipped = "the loss is nan </script><b>&"
        try fixture.write(
            RunFolderFixture.lines(0...1) + bad.jsonLine + "\n" + RunFolderFixture.lines(3...4), to: fixture.run.metrics
        )
        try fixture.write(
            """
            2026-01-31T12:00:00.123Z info learner: listening at tcp://127.0.0.1:1, in plain text
            2026-01-31T12:00:01.123Z notice learner: runs/x has no checkpoint: starting from the first step
            2026-01-31T12:01:00.123Z info learner: listening at tcp://127.0.0.1:1, in plain text
            2026-01-31T12:01:01.123Z notice learner: going on from runs/x/checkpoints/step-000002
            2026-01-31T12:01:02.123Z info learner: x notice y: going on from /step-000009 joined
            2026-01-31T12:01:02.123Z notice learner: going on from runs/x/checkpoints/step-../../etc

            """, to: fixture.run.log("learner"))
        let document = try fixture.document()
        #expect(document["bad_steps"]?["total"] == 1)
        let listed = document["bad_steps"]?["listed"]?.array?.first
        #expect(listed?["step"] == 2 && listed?["why"]?.string == "the loss is nan </script><b>&")
        #expect(document["restarts"]?["listed"]?.array?.compactMap { $0["step"]?.int } == [2])
    }

    @Test func theFactsAreThoseOfTheFile() throws {
        let fixture = try RunFolderFixture()
        try fixture.write(RunFolderFixture.configuration, to: fixture.run.configuration)
        try fixture.write(RunFolderFixture.lines(0...30), to: fixture.run.metrics)
        let facts = RunDigest.facts(of: fixture.run)
        #expect(
            facts.map(\.label) == [
                "run", "student", "teacher", "steps", "training KL", "held-out KL", "held-out right", "checkpoints",
            ])
        #expect(facts[3].text == "30 of 30" && facts[4].text == "0.0323")
        #expect(facts[5].text == "2.0000 at step 0, 0.0645 at step 30")
        let shown = fixture.digest().facts
        #expect(shown.map(\.label) == facts.map(\.label) && shown.map(\.text) == facts.map(\.text))
        // What four decimals cannot show is not shown as 0.
        let document = try fixture.document()
        #expect(document["last"]?["lr"]?["last"]?["text"]?.string == "1.00e-05")
        #expect(document["last"]?["loss"]?["last"]?["text"]?.string == "0.0000")
    }
}
