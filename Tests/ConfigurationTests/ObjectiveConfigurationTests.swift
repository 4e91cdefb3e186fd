import Configuration
import Distillation
import Testing

@Suite struct ObjectiveConfigurationTests {
    private func bounds(_ overrides: [String]) throws -> LogRatioBounds {
        guard case .policyGradient(let method) = try parse(minimal, overrides).objective.objective else {
            Issue.record("no policy gradient")
            return LogRatioBounds()
        }
        return method.logRatio
    }

    @Test func boundsOfTheLogRatioBecomeTheObjectives() throws {
        #expect(try bounds([]).isOpen)
        #expect(try bounds(["objective.log_ratio_limit=5"]) == LogRatioBounds(limit: 5))
        #expect(try bounds(["objective.teacher_mix=0.9"]) == LogRatioBounds(teacherMix: 0.9))
        let mixed = ["objective.kind=mixed", "objective.log_ratio_limit=0.5", "objective.teacher_mix=0.25"]
        #expect(try bounds(mixed) == LogRatioBounds(limit: 0.5, teacherMix: 0.25))
    }

    @Test func boundsOutOfRangeAreRefused() {
        for (override, expectation) in [
            ("objective.log_ratio_limit=-1", "a number of at least 0 and at most 1000000, got '-1'"),
            ("objective.log_ratio_limit=.inf", "a number of at least 0 and at most 1000000, got '.inf'"),
            ("objective.teacher_mix=0", "a number above 0 and at most 1, got '0'"),
            ("objective.teacher_mix=1.01", "a number above 0 and at most 1, got '1.01'"),
        ] {
            let key = override.split(separator: "=")[0]
            #expect(problems(minimal, [override]) == ["--set: \(key): expected \(expectation)"])
        }
    }

    /// Where no teacher grades what the student samples, a bound that is given would do nothing.
    @Test(arguments: [ObjectiveKind.reinforcement, .offPolicy, .supervised])
    func boundsNeedATeachersGrades(kind: ObjectiveKind) {
        let text = minimal + "\nobjective: { kind: \(kind.rawValue), log_ratio_limit: 5, teacher_mix: 0.9 }"
        func line(_ key: String) -> String {
            "run.yaml:5: objective.\(key): bounds the ratio of student and teacher, which a run with objective.kind "
                + "\(kind.rawValue) does not have; leave it out"
        }
        #expect(problems(text) == [line("log_ratio_limit"), line("teacher_mix")])
        // What changes nothing may stand there: the resolved configuration has it.
        #expect(
            problems(minimal + "\nobjective: { kind: \(kind.rawValue), log_ratio_limit: 0, teacher_mix: 1 }") == [])
    }

    @Test func boundsAreInTheResolvedConfigurationAndStay() throws {
        let old = try parse(minimal, ["objective.teacher_mix=0.9"])
        let text = old.yaml(markingDefaults: true)
        #expect(text.contains("  log_ratio_limit: 0  # default\n  teacher_mix: 0.9\n"))
        #expect(try parse(text) == old)
        let now = try parse(minimal, ["objective.log_ratio_limit=3"])
        #expect(
            now.refusedChanges(since: old, to: .resume) == [
                "objective.log_ratio_limit is 3 now and was 0", "objective.teacher_mix is 1 now and was 0.9",
            ])
        #expect(now.refusedChanges(since: old, to: .fork) == [])
    }
}
