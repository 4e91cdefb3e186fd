import Distillation
import Testing

@Suite struct CostTests {
    @Test func everyPassIsBooked() {
        let model = CostModel(
            student: { Double($0 + 10 * $1) }, teachers: ["default": { Double(100 * ($0 + $1)) }])
        // Prompts of 2 tokens, responses of 2 and 3.
        let graded = [
            scored(behaviour: [-1, -1], teacher: [-1, -1]), scored(behaviour: [-1, -1, -1], teacher: [0, 0, 0]),
        ]
        var cost = RunCost()
        model.add(graded, isTrained: true, to: &cost)
        #expect(cost == RunCost(sampling: 54, scoring: 900, training: 162) && cost.total == 1116)
        model.add(graded, isTrained: false, to: &cost)
        #expect(cost == RunCost(sampling: 108, scoring: 1800, training: 162))
        var ungraded = graded[0]
        ungraded.trajectory.teacher = nil
        var alone = RunCost()
        model.add([ungraded], isTrained: true, to: &alone)
        #expect(alone == RunCost(sampling: 22, scoring: 0, training: 66))
        let adapting = CostModel(student: { Double($0 + $1) }, training: { Double(1000 * ($0 + $1)) })
        var adapted = RunCost()
        adapting.add([ungraded], isTrained: true, to: &adapted)
        adapting.add([SupervisedExample(promptIDs: [1, 2], responseIDs: [3])], to: &adapted)
        #expect(adapted == RunCost(sampling: 4, scoring: 0, training: 7000))
        ungraded.sampler = "default"
        var imitated = RunCost()
        model.add([ungraded], isTrained: true, to: &imitated)
        #expect(imitated == RunCost(sampling: 400, scoring: 0, training: 66), "who samples is paid for")
        var supervised = RunCost()
        model.add([SupervisedExample(promptIDs: [1, 2], responseIDs: [3])], to: &supervised)
        #expect(supervised == RunCost(sampling: 0, scoring: 0, training: 36))
    }

    @Test func aTargetIsReachedOrNot() {
        var evaluation = EvaluationMetrics([scored(behaviour: [-1], teacher: [-1.5])])
        #expect(RunTarget().reached(by: evaluation) == nil)
        #expect(RunTarget(teacherKL: 0.5).reached(by: evaluation) == "the divergence 0.5 has reached 0.5")
        #expect(RunTarget(teacherKL: 0.4).reached(by: evaluation) == nil)
        #expect(RunTarget(passRate: 0.1).reached(by: evaluation) == nil, "nothing was judged")
        evaluation.passRate = 0.9
        #expect(RunTarget(passRate: 0.9).reached(by: evaluation) == "pass@1 0.9 has reached 0.9")
        #expect(RunTarget(passRate: 0.91).reached(by: evaluation) == nil)
    }
}
