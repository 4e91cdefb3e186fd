import Distillation
import Generation
import Wire

extension ScoringEngine {
    /// What every task asks for, in their order.
    func grade(_ tasks: [ScoreTask]) throws -> [Grade] {
        var grades: [Grade] = []
        // Those of one batch are of one kind nearly always: held-out responses come for themselves.
        var rest = tasks[...]
        while let request = rest.first?.request {
            let alike = rest.prefix { $0.request == request }
            grades += try grade(alike.map(\.tokens), request)
            rest = rest.dropFirst(alike.count)
        }
        return grades
    }
}
