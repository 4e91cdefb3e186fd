extension Value {
    /// Whether a value may hold others.
    private var isContainer: Bool {
        switch self {
        case .undefined, .none, .bool, .integer, .double, .text, .range, .function, .joiner: false
        case .list(let items), .tuple(let items): !items.isEmpty
        case .mapping(let mapping): mapping.count > 0
        case .view, .iterator, .namespace, .loop, .macro, .method, .cycler: true
        }
    }

    /// Whether a value may hold some that hold others in turn.
    var holdsContainers: Bool {
        switch self {
        case .list(let items), .tuple(let items): items.contains { $0.isContainer }
        case .mapping(let mapping): mapping.values.contains { $0.isContainer }
        case .namespace: false
        default: isContainer
        }
    }
}
