import Distillation
import Foundation
import Logging
import Telemetry
import TestSupport
import Testing

@Suite struct ProgressTests {
    private func line(steps done: Int) -> ProgressLine {
        var line = ProgressLine(steps: 40)
        for step in 1...done {
            var training = TrainingMetrics(BatchStatistics(), gradNorm: 1, learningRate: 1)
            training.teacherKL = 1.2 - 0.05 * Double(step)
            line.record(
                StepMetrics(
                    step: UInt64(step), version: UInt64(step), training: training, tokens: .init(),
                    timing: .init(
                        samplingTokensPerSecond: 905.4, scoringTokensPerSecond: 1640, trainingTokensPerSecond: 420,
                        waitRolloutsSeconds: 3, waitScoresSeconds: 1, stepSeconds: 5)))
        }
        return line
    }

    private func evaluated(_ step: UInt64) -> StepMetrics {
        var evaluation = EvaluationMetrics([])
        evaluation.teacherKL = 0.69
        return StepMetrics(step: step, version: step, training: nil, tokens: .init(), evaluation: evaluation)
    }

    @Test func theLiveLineFitsAnyWidth() {
        let line = line(steps: 8)
        #expect(
            line.live(width: 200)
                == "step 8/40  KL 0.800 ↓  █▇▆▅▄▃▂▁  sample 905 score 1.6k train 420 tok/s  learner waits for rollouts 60%  2:40 left"
        )
        #expect(line.live(width: 60) == "step 8/40  KL 0.800 ↓  2:40 left")
        #expect(line.live(width: 12) == "step 8/40")
        #expect(line.live(width: 5) == "step")
        #expect(line.live(width: 0) == "")
        for width in 0...130 { #expect(line.live(width: width).count <= max(0, width - 1)) }
    }

    @Test func beforeTheFirstStepTheActivityIsShown() {
        var line = ProgressLine(steps: 40)
        #expect(line.live(width: 80) == "step 0/40")
        line.activity = "evaluating 3/32"
        #expect(line.live(width: 80) == "step 0/40  evaluating 3/32")
        line.activity = nil
        (line.sampled, line.scored, line.wanted) = (12, 3, 32)
        #expect(line.live(width: 80) == "step 0/40  sampled 12 scored 3 of 32")
    }

    /// Without a teacher the line shows the reward, without a reward the loss; rates that are nothing are left out.
    @Test func theHeadlineIsWhatThereIs() {
        var training = TrainingMetrics(supervised: BatchStatistics(), gradNorm: 1, learningRate: 1)
        training.loss = 2.5
        func plain() -> String {
            var line = ProgressLine(steps: 1)
            line.record(
                StepMetrics(
                    step: 1, version: 1, training: training, tokens: .init(),
                    timing: .init(trainingTokensPerSecond: 420, trainSeconds: 1, stepSeconds: 1)))
            return line.plain
        }
        #expect(plain() == "step 1/1, loss 2.5000, 1.0 s, train 420 tok/s, learner never waits")
        training.rewardMean = 0.75
        #expect(plain().hasPrefix("step 1/1, loss 2.5000, "), "the reward is of the teacher's responses")
        training.ratioMean = 1
        #expect(plain().hasPrefix("step 1/1, reward 0.7500, "))
        training.teacherKL = 0.5
        #expect(plain().hasPrefix("step 1/1, KL 0.5000, "))
        var line = line(steps: 8)
        var judged = evaluated(9)
        judged.evaluation?.passRate = 0.8125
        line.record(judged)
        #expect(line.plain.hasPrefix("step 9/40, held-out KL 0.6900, held-out right 81.3%"), "\(line.plain)")
        #expect(line.live(width: 60).contains("held-out right 81.3%"))
    }

    /// A judged evaluation leaves a bar above the live line: the student's share, and a mark where the teacher is.
    @Test func anEvaluationIsABar() {
        var line = line(steps: 8)
        #expect(line.bar(width: 80) == nil)
        var judged = evaluated(9)
        judged.evaluation?.passRate = 0.5
        line.record(judged)
        #expect(line.bar(width: 60) == "step  9/40  held-out right  50.0%  ████████████")
        judged.evaluation?.teacherPassRate = 0.75
        line.record(judged)
        #expect(line.bar(width: 67) == "step  9/40  held-out right  50.0%  ████████    │     teacher 75.0%")
        #expect(line.bar(width: 50) == "step  9/40  held-out right  50.0%  teacher 75.0%")
        #expect(line.bar(width: 40) == "step  9/40  held-out right  50.0%")
        #expect(line.plain.contains("held-out right 50.0%, the teacher 75.0%"))
        judged.evaluation?.passRate = 1
        line.record(judged)
        #expect(line.bar(width: 67) == "step  9/40  held-out right 100.0%  ████████████████  teacher 75.0%")
        judged.evaluation?.passRate = 0.03
        judged.step = 12
        line.record(judged)
        #expect(line.bar(width: 67) == "step 12/40  held-out right   3.0%  ▌           │     teacher 75.0%")
        line.record(evaluated(13))
        #expect(line.bar(width: 67) == nil)
        for width in 0...120 {
            line.record(judged)
            #expect((line.bar(width: width)?.count ?? 0) <= max(width - 1, 0))
        }
    }

    @Test func thePlainLineSaysTheSameInWords() {
        var line = line(steps: 1)
        #expect(
            line.plain
                == "step 1/40, KL 1.1500, 5.0 s, sample 905 score 1.6k train 420 tok/s, learner waits for rollouts 60%, 3:15 left"
        )
        line.record(evaluated(40))
        #expect(line.plain == "step 40/40, held-out KL 0.6900")
    }

    @Test func formatsRoundAndStayFinite() {
        #expect(ProgressLine.fixed(0.0005, 3) == "0.001")
        #expect(ProgressLine.fixed(-0.0001, 3) == "0.000")
        #expect(ProgressLine.fixed(-1.25, 1) == "-1.3")
        #expect(ProgressLine.fixed(.nan, 1) == "nan")
        #expect(ProgressLine.fixed(1e300, 3) == "1e+300")
        #expect(ProgressLine.rate(999.6) == "1.0k")
        #expect(ProgressLine.rate(123_456) == "123k")
        #expect(ProgressLine.rate(2_340_000) == "2.3M")
        #expect(ProgressLine.rate(.nan) == "-")
        #expect(ProgressLine.duration(59.6) == "1:00")
        #expect(ProgressLine.duration(3661) == "1:01:01")
        #expect(ProgressLine.duration(100_000) == "1d 3h")
        #expect(ProgressLine.duration(.infinity) == "?")
        #expect(ProgressLine.sparkline([1, .nan, 1], width: 5) == "▁▁")
        #expect(ProgressLine.sparkline([], width: 5) == "")
        #expect(ProgressLine.sparkline((0..<100).map(Double.init), width: 4) == "▁▃▆█")
        #expect(ProgressLine.trend([1, 1, 2, 2]) == " ↑")
        #expect(ProgressLine.trend([1, 1, 1, 1]) == " →")
        #expect(ProgressLine.trend([1, 1, 1]) == "")
    }

    @Test func theConsoleKeepsTheLiveLineBelowTheLog() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/out"
        try "".write(toFile: path, atomically: false, encoding: .utf8)
        let file = try #require(FileHandle(forWritingAtPath: path))
        let terminal = Console(descriptor: file.fileDescriptor, isTerminal: true)
        #expect(terminal.width == 80)
        terminal.redraw("one")
        terminal.redraw("one")
        terminal.print("log")
        terminal.endLive()
        terminal.print("end")
        #expect(try folder.text(of: "out") == "\r\u{1b}[Kone\r\u{1b}[Klog\none\nend\n")
        let plain = Console(descriptor: file.fileDescriptor)
        #expect(!plain.isTerminal)
        let progress = RunProgress(steps: 2, console: plain)
        progress.stepProgress(sampled: 1, scored: 0, of: 2)
        progress.record(evaluated(1))
        progress.finish()
        RunProgress(steps: 2, verbosity: .quiet, console: plain).record(evaluated(1))
        #expect(try folder.text(of: "out").hasSuffix("end\nstep 1/2, held-out KL 0.6900\n"))
    }

    /// Of a terminal of 100 columns or more a few lines are taken, each as wide as it is at most.
    @Test func aWideTerminalShowsCoursesAndWhereTimeGoes() {
        var line = ProgressLine(steps: 40)
        #expect(line.panel(width: 120) == "step 0/40")
        for step in 1...8 {
            var training = TrainingMetrics(BatchStatistics(), gradNorm: Double(step), learningRate: 1)
            training.teacherKL = 1
            training.entropy = 0.5
            training.responseLengthMean = 31.25
            line.record(
                StepMetrics(
                    step: UInt64(step), version: UInt64(step), training: training, tokens: .init(),
                    timing: .init(
                        samplingTokensPerSecond: 1000 * Double(step), trainingTokensPerSecond: 420,
                        waitRolloutsSeconds: 3, trainSeconds: 1.5, stepSeconds: 5)))
        }
        var judged = evaluated(9)
        judged.evaluation?.passRate = 0.5
        line.record(judged)
        let lines = line.panel(width: 120).split(separator: "\n").map(String.init)
        #expect(lines.count == 4 && lines[0] == line.live(width: 120))
        #expect(
            lines[1]
                == "  figures  entropy 0.500 ▁▁▁▁▁▁▁▁  gradient 8.00 ▁▂▃▄▅▆▇█  length 31.3 ▁▁▁▁▁▁▁▁  held-out right 50.0% ▁"
        )
        #expect(lines[2] == "  tok/s    sample 8.0k ▁▂▃▄▅▆▇█  train 420 ▁▁▁▁▁▁▁▁")
        #expect(lines[3] == "  learner  trains 30%, waits for rollouts 60%")
        #expect(line.panel(width: 99) == line.live(width: 99))
        for width in 0...160 {
            #expect(line.panel(width: width).split(separator: "\n").allSatisfy { $0.count <= max(0, width - 1) })
        }
    }

    @Test func severalLiveLinesAreRedrawnInTheirPlace() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/out"
        try "".write(toFile: path, atomically: false, encoding: .utf8)
        let file = try #require(FileHandle(forWritingAtPath: path))
        let terminal = Console(descriptor: file.fileDescriptor, isTerminal: true)
        terminal.redraw("a\nb\nc")
        terminal.print("log")
        terminal.redraw("d\ne")
        terminal.redraw("f")
        terminal.endLive()
        let up = "\r\u{1b}[2A\u{1b}[J"
        #expect(
            try folder.text(of: "out")
                == "\r\u{1b}[Ka\nb\nc\(up)log\na\nb\nc\(up)d\ne\r\u{1b}[1A\u{1b}[Jf\n")
    }

    @Test func aLogRecordIsOneLineInTheFileAndOnTheConsole() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/console"
        try "".write(toFile: path, atomically: false, encoding: .utf8)
        let file = try #require(FileHandle(forWritingAtPath: path))
        let handler = RunLogHandler(
            label: "learner", name: "learner", sink: try LogSink(path: "\(folder.path)/learner.log"),
            console: Console(descriptor: file.fileDescriptor), fileLevel: .info, consoleLevel: .warning)
        let logger = Logger(label: "learner", factory: { _ in handler })
        logger.debug("hidden")
        logger.info("step", metadata: ["b": "2", "a": "1"])
        logger.warning("odd\nthing\u{1b}[31m")
        let lines = try folder.text(of: "learner.log").split(separator: "\n").map(String.init)
        #expect(lines.count == 2)
        #expect(lines[0].hasSuffix("Z info learner: step a=1 b=2"))
        #expect(lines[1].hasSuffix("Z warning learner: odd\\nthing?[31m"))
        #expect(try folder.text(of: "console") == "learner: warning: odd\\nthing?[31m\n")
        #expect(RunLogHandler.timestamp(seconds: 951_827_696, nanoseconds: 7_000_000) == "2000-02-29T12:34:56.007Z")
    }

    @Test func theSummarySaysWhatChangedAndWhatToDoNext() {
        var summary = RunSummary(name: "smollm2", steps: 40, seconds: 301, modelPath: "runs/smollm2/model")
        summary.klBefore = 1.2
        summary.klAfter = 0.66
        summary.tokensGenerated = 61440
        summary.tokensTrained = 61440
        summary.examples = [
            .init(
                prompt: "Name three fruits.", before: .init("fruit fruit"), after: .init("Apple,\npear"),
                teacher: .init("Apples, pears and plums are fruits"))
        ]
        #expect(
            summary.text(width: 34) == """

                smollm2: done after 40 steps in 5:01
                held-out KL to the teacher: 1.200 before, 0.660 after, nats a token (-45%)
                tokens: 61440 generated, 61440 trained on, 0 discarded

                prompt   Name three fruits.
                before   fruit fruit
                after    Apple, pear
                teacher  Apples, pears and plums
                         are fruits

                model:   runs/smollm2/model
                talk:    opd generate runs/smollm2/model --chat "Why is the sky blue?" --temperature 0.5
                """)
        summary.endedEarly = "interrupted"
        summary.resumeCommand = "opd run x.yaml --resume"
        #expect(summary.text().contains("smollm2: interrupted after 40 steps"))
        #expect(summary.text().contains("go on:   opd run x.yaml --resume"))
    }

    /// The summary of a generated task shows what the student had wrong, and how to ask and measure more of it.
    @Test func theSummaryOfATaskShowsWorkedProblems() {
        var summary = RunSummary(name: "sums", steps: 40, seconds: 61, modelPath: "runs/sums/model")
        (summary.passBefore, summary.passAfter, summary.teacherPass) = (0.4, 0.95, 0.99)
        (summary.task, summary.question) = ("arithmetic:digits=1", "7+9=")
        summary.examples = [
            .init(
                prompt: "1+2=", before: .init("1+2+0=04:4", isRight: false),
                after: .init("1+2+0=03:3", isRight: true), teacher: .init("1+2+0=03:3", isRight: true), answer: "3")
        ]
        #expect(
            summary.text() == """

                sums: done after 40 steps in 1:01
                held-out problems right: 40.0% before, 95.0% after, the teacher 99.0%
                tokens: 0 generated, 0 trained on, 0 discarded

                held-out problems that it had wrong, answered without sampling:

                prompt   1+2=
                before   ✗ 1+2+0=04:4
                after    ✓ 1+2+0=03:3
                teacher  ✓ 1+2+0=03:3
                answer   3

                model:   runs/sums/model
                measure: opd eval runs/sums/model arithmetic:digits=1 --count 1000
                talk:    opd generate runs/sums/model --chat "7+9=" --temperature 0
                """)
        summary.question = "<|im_start|>user\n7+9="
        #expect(summary.text().hasSuffix("--chat \"Why is the sky blue?\" --temperature 0.5"))
    }
}
