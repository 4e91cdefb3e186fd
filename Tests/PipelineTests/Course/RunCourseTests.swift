import Distillation
import Engines
import Exchange
import Pipeline
import TestSupport
import Testing

/// What every run decides alike, without a learner, a model or a clock.
@Suite struct RunCourseTests {
    private func options(
        steps: UInt64 = 4, target: RunTarget = RunTarget(), stepGuard: StepGuard = StepGuard(),
        timeLimit: TimeLimit? = nil
    ) -> RunOptions {
        var plan = TestSupport.plan(steps: steps, heldout: 2)
        plan.evaluationEvery = 2
        var options = RunOptions(plan: plan, learningRate: { Double($0) / 10 })
        options.target = target
        options.stepGuard = stepGuard
        options.timeLimit = timeLimit
        options.checkpoints.every = 2
        return options
    }

    private func evaluation(passRate: Double) -> EvaluationMetrics {
        var metrics = EvaluationMetrics([], crossEntropy: nil)
        metrics.passRate = passRate
        return metrics
    }

    /// A trained step of 10 tokens, with its line recorded.
    private func train(_ course: inout RunCourse, passRate: Double? = nil) -> StepMetrics? {
        var tokens = course.tokens
        tokens.generated += 10
        tokens.trained += 10
        course.completeStep(tokens: tokens)
        course.endLine(training: nil, skipped: nil)
        return course.recordLine(passRate.map(evaluation), exampleIDs: [3])
    }

    private func graded(by teacher: String) -> ScoredTrajectory {
        let trajectory = Trajectory(
            id: RolloutID(group: 0, sample: 0), kind: .train, teacher: teacher, promptIDs: [1], responseIDs: [2],
            behaviourLogprobs: [-1], policyVersions: [0], finishReason: .stop, temperature: 1)
        return ScoredTrajectory(trajectory: trajectory, teacherLogprobs: [-1])
    }

    /// A teacher that is somewhere else is counted as soon as its member has told what it costs; what was not counted is
    /// known, also after a checkpoint.
    @Test func aTeacherIsCountedWhenItsCostIsTold() {
        var options = options()
        options.costModel = CostModel(student: { Double($0 + $1) }, teachers: ["near": { _, _ in 100 }])
        var course = RunCourse(options, resuming: nil)
        course.addCost(of: [graded(by: "near"), graded(by: "far")], isTrained: true)
        #expect(course.countedCost == RunCost(sampling: 4, scoring: 100, training: 12))
        #expect(course.uncountedTeachers == ["far"])
        let told = PassCost(perToken: 10, perResponseToken: 5, perPair: 1)
        course.addCost(of: [graded(by: "near"), graded(by: "far")], isTrained: false) { teacher in
            #expect(teacher == "far", "what the learner's own files tell is not asked for")
            return told
        }
        #expect(course.countedCost == RunCost(sampling: 8, scoring: 228, training: 12))
        // What was told once stays, also when its member has left.
        course.addCost(of: [graded(by: "far")], isTrained: false)
        #expect(course.countedCost?.scoring == 256)
        _ = train(&course)
        let state = course.checkpointState(tokenizerFingerprint: "t")
        #expect(state.uncountedTeachers == ["far"])
        #expect(RunCourse(options, resuming: state).uncountedTeachers == ["far"])
    }

    private let badLoss = StepFlaw(.notFinite, "the loss is nan", [])

    @Test func aRunGoesOnUntilItsLastStep() {
        var course = RunCourse(options(), resuming: nil)
        #expect(course.evaluatesNow && course.pending?.step == 0, "the first weights are evaluated")
        #expect(course.recordLine(evaluation(passRate: 0.1), exampleIDs: [1])?.evaluation?.passRate == 0.1)
        #expect(course.recordLine(nil) == nil, "a line is recorded once")
        for step in 1...4 as ClosedRange<UInt64> {
            #expect(course.goesOn && course.learningRate == Double(step - 1) / 10)
            let line = train(&course, passRate: course.version % 2 == 1 ? 0.2 : nil)
            #expect(line?.step == step && line?.tokens.trained == step * 10)
            #expect(course.isCheckpointDue == (step % 2 == 0))
        }
        #expect(!course.goesOn && course.end == .completed)
        #expect(course.before?.step == 0 && course.before?.exampleIDs == [1])
        #expect(course.after?.step == 4 && course.after?.metrics.passRate == 0.2)
    }

    /// A stop that comes in the step that reaches the target has not stopped anything.
    @Test func whatIsReachedAndRecordedIsReached() {
        var course = RunCourse(options(target: RunTarget(passRate: 0.5)), resuming: nil)
        course.completeStep(tokens: TokenCounts())
        course.stop("SIGTERM")
        course.stop("again")
        course.endLine(training: nil, skipped: nil)
        #expect(course.end == .stopped("SIGTERM"), "the evaluation is not there yet")
        _ = course.recordLine(evaluation(passRate: 0.5))
        #expect(!course.goesOn && course.end == .reached("pass@1 0.5 has reached 0.5"))
    }

    @Test func aLastStepWhoseEvaluationIsMissingIsNotComplete() {
        var course = RunCourse(options(steps: 1), resuming: nil)
        _ = course.recordLine(nil)
        course.completeStep(tokens: TokenCounts())
        course.endLine(training: nil, skipped: nil)
        course.stop("SIGINT")
        #expect(course.end == .stopped("SIGINT"))
        let state = course.checkpointState(tokenizerFingerprint: "a")
        #expect(state.pending?.step == 1 && state.step == 1)
        var resumed = RunCourse(options(steps: 1), resuming: state)
        #expect(resumed.pending == state.pending)
        _ = resumed.recordLine(evaluation(passRate: 0))
        #expect(resumed.end == .completed)
    }

    @Test func badStepsAreSkippedUntilThereAreTooMany() throws {
        var course = RunCourse(options(stepGuard: StepGuard(limitInARow: 2)), resuming: nil)
        #expect(try course.giveUpStep(badLoss) == "step 1 is skipped: the loss is nan")
        course.skipStep(tokens: TokenCounts(generated: 5, discarded: 5))
        course.endLine(training: nil, skipped: badLoss.text)
        #expect(course.recordLine(nil)?.skipped == "the loss is nan")
        #expect(course.checkpointState(tokenizerFingerprint: "").badSteps == 1)
        // They are counted across a restart, and a step that was trained ends the count.
        var resumed = RunCourse(
            options(stepGuard: StepGuard(limitInARow: 2)),
            resuming: course.checkpointState(
                tokenizerFingerprint: ""))
        let error = #expect(throws: LearnerError.self) { try resumed.giveUpStep(badLoss) }
        #expect(error?.code == .badStep)
        #expect(
            error?.message
                == "step 2, the last of 2 bad steps in a row: the loss is nan; it was not trained; go on with "
                + "--resume and another training.on_bad_step, or as another run with --from and a lower "
                + "training.learning_rate")
        _ = train(&course)
        #expect(try course.giveUpStep(badLoss).hasPrefix("step 3 is skipped"))
    }

    @Test func weightsThatAreToBlameAreSuspectUntilTheNextGoodStep() throws {
        var course = RunCourse(options(), resuming: nil)
        _ = try course.giveUpStep(badLoss)
        #expect(!course.suspectsWeights)
        _ = try course.giveUpStep(StepFlaw(.divergence, "too far", []))
        #expect(course.suspectsWeights)
        course.completeStep(tokens: TokenCounts())
        #expect(!course.suspectsWeights)
    }

    @Test func anUpdateThatWasNotMadeIsNamed() {
        let course = RunCourse(options(), resuming: nil)
        var result = StepResult(statistics: BatchStatistics(), gradNorm: .infinity, applied: false)
        #expect(course.flaw(of: result, batch: [])?.text.hasSuffix("and the gradient's norm inf") == true)
        result.gradNorm = 1e30
        #expect(course.flaw(of: result, batch: [])?.text.contains("too large for the optimizer") == true)
        result.applied = true
        #expect(course.flaw(of: result, batch: []) == nil)
    }

    @Test func itStopsInTimeForACheckpoint() {
        var course = RunCourse(options(timeLimit: TimeLimit(.seconds(100))), resuming: nil)
        course.trained(in: .seconds(20))
        // 3/2 of a step and of a save before the limit, and 10 s for the process.
        #expect(course.stopInTime(elapsed: .seconds(44), longestSave: .seconds(10)) == nil)
        #expect(
            course.stopInTime(elapsed: .seconds(45), longestSave: .seconds(10))
                == "stopping in time for a checkpoint before the time limit of 100 s")
        #expect(course.stopInTime(elapsed: .seconds(46), longestSave: nil) == nil, "that is said once")
        #expect(course.end == .stopped("stopped by its time limit") && !course.goesOn)
    }

    @Test func whatWasInFlightInACheckpointIsGivenUp() {
        var state = RunCourse(options(), resuming: nil).checkpointState(tokenizerFingerprint: "")
        state.tokens = TokenCounts(generated: 7, trained: 4, inFlight: 3)
        let course = RunCourse(options(), resuming: state)
        #expect(course.tokens == TokenCounts(generated: 7, trained: 4, discarded: 3))
    }
}
