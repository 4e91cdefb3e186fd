extension ScopeAnalysis {
    /// Whether a name is loaded anywhere within statements, scopes within them included.
    func mentions(_ name: Int, _ body: [Statement]) -> Bool { body.contains { mentions(name, $0) } }

    private func mentions(_ name: Int, _ expression: Expression) -> Bool {
        if case .name(name) = expression.form { return true }
        return expression.children.contains { mentions(name, $0) }
    }

    private func mentions(_ name: Int, _ statement: Statement) -> Bool {
        switch statement {
        case .text, .leaveLoop, .continueLoop: false
        case .output(let expression), .set(_, let expression): mentions(name, expression)
        case .setBlock(_, let filter, let block):
            filter.map { mentions(name, $0) } ?? false || mentions(name, block.body)
        case .choice(let branches, let otherwise):
            branches.contains { mentions(name, $0.condition) || mentions(name, $0.body) } || mentions(name, otherwise)
        case .loop(let loop):
            mentions(name, loop.sequence) || loop.condition.map { mentions(name, $0) } ?? false
                || mentions(name, loop.body.body) || loop.otherwise.map { mentions(name, $0.body) } ?? false
        case .macro(let macro): mentions(name, macro.body.body) || macro.defaults.contains { mentions(name, $0) }
        case .call(let macro, let call): mentions(name, call) || mentions(name, macro.body.body)
        case .filter(let filter, let block): mentions(name, filter) || mentions(name, block.body)
        case .with(let values, let block):
            values.contains { mentions(name, $0.value) } || mentions(name, block.body)
        case .generation(let block): mentions(name, block.body)
        }
    }
}
