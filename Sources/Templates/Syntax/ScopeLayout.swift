/// The variables of a scope, and what each holds when the scope is entered.
///
/// Which names are a scope's own, and from where they come, is decided before anything runs, as in Jinja: a `set` further
/// down makes a name the scope's own from its beginning.
struct ScopeLayout: Sendable {
    enum Origin: Sendable {
        /// A name whose value who enters the scope gives.
        case parameter
        /// A variable of the conversation, or a function of the language.
        case context
        /// What the scopes around have under this name.
        case outer
        /// Nothing yet.
        case nothing
    }

    /// Numbers of names; a name's place here is its place in the scope.
    var names: [Int] = []
    var origins: [Origin] = []

    func place(of name: Int) -> Int? { names.firstIndex(of: name) }
}
