import Configuration
import RunFiles
import Supervision
import Testing

/// Which processes a configuration makes, and how they are called.
@Suite struct SupervisorPlanTests {
    @Test func thePlanOfAConfiguration() {
        var configuration = RunConfiguration()
        configuration.pipeline.workers = 2
        configuration.pipeline.scorers = 1
        configuration.teachers = ["math": .init(), "code": .init()]
        let plan = Supervisor.plan(
            for: configuration, configurationPath: "x.yaml", overrides: ["seed=3"], resume: true,
            runFolder: RunFolder("runs/x"), arguments: ["--quiet"])
        #expect(plan.map(\.name) == ["learner", "rollout-0", "rollout-1", "scorer-code-0", "scorer-math-0"])
        #expect(plan.allSatisfy { $0.executable == "/proc/self/exe" })
        #expect(
            plan[0].arguments == [
                "learner", "x.yaml", "--bind", "tcp://127.0.0.1:*", "--resume", "--set", "seed=3", "--quiet",
            ])
        #expect(plan[0].role == .learner)
        #expect(plan[0].logPath == nil)
        #expect(
            plan[2].arguments == [
                "rollout", "x.yaml", "--connect", "{endpoint}", "--name", "rollout-1", "--set", "seed=3", "--quiet",
            ])
        #expect(plan[2].logPath == "runs/x/logs/rollout-1.log")
        #expect(
            plan[3].arguments == [
                "scorer", "x.yaml", "--connect", "{endpoint}", "--teacher", "code", "--name", "scorer-code-0", "--set",
                "seed=3", "--quiet",
            ])
    }

    @Test func everyProcessHasItsThreads() {
        var configuration = RunConfiguration()
        configuration.teachers = ["math": .init()]
        let plan = Supervisor.plan(
            for: configuration, configurationPath: "x.yaml", overrides: ["pipeline.threads=9"], resume: false,
            runFolder: RunFolder("runs/x"), threads: ThreadCounts(learner: 4, worker: 3, scorer: 2))
        // The last word counts.
        let threads = ["learner": "4", "rollout-0": "3", "scorer-math-0": "2"]
        for process in plan {
            #expect(process.arguments.suffix(2) == ["--set", "pipeline.threads=\(threads[process.name] ?? "")"])
        }
        #expect(plan.count == 3)
    }

    /// Where teachers sample, each has its workers, and nobody grades.
    @Test func thePlanWhereTeachersSample() {
        var configuration = RunConfiguration()
        configuration.pipeline.workers = 2
        configuration.objective.kind = .offPolicy
        configuration.teachers = ["math": .init(), "code": .init()]
        let plan = Supervisor.plan(
            for: configuration, configurationPath: "x.yaml", resume: false, runFolder: RunFolder("runs/x"))
        #expect(
            plan.map(\.name) == ["learner", "rollout-code-0", "rollout-code-1", "rollout-math-0", "rollout-math-1"])
        #expect(
            plan[4].arguments == [
                "rollout", "x.yaml", "--connect", "{endpoint}", "--teacher", "math", "--name", "rollout-math-1",
            ])
    }

    @Test func endpointsThatListenEverywhereAreReachedAtHome() {
        #expect(EndpointSource.local("tcp://0.0.0.0:5") == "tcp://127.0.0.1:5")
        #expect(EndpointSource.local("tcp://*:5") == "tcp://127.0.0.1:5")
        #expect(EndpointSource.local("tcp://[::]:5") == "tcp://[::1]:5")
        #expect(EndpointSource.local("tcp://10.0.0.1:5") == "tcp://10.0.0.1:5")
    }
}
