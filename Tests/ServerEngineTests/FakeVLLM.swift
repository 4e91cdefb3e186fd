import Foundation
import JSON
import Locking

/// Speaks as vLLM does for a model whose log-probabilities are a formula of a token, the one before, and the weights.
final class FakeVLLM: Sendable {
    struct Faults: Sendable {
        /// Requests of a path that are answered in another way first, each once.
        var replies: [String: [FakeServer.Reply]] = [:]
        /// Takes new weights and goes on with the old ones.
        var keepsOldWeights = false
        var names = ["m"]
        var context = 100
        /// What is added to every id of a text.
        var shift = 0
        /// Two calls differ by this much.
        var drift = 0.0
    }

    struct State: Sendable {
        var faults = Faults()
        var adapters: [String: Int] = [:]
        var weights = 0
        var calls: [String] = []
        var seeds: [Int] = []
        var drifted = 0.0
    }

    let state: Locked<State>
    private let encode: @Sendable (String) -> [Int32]

    init(_ faults: Faults = Faults(), encode: @escaping @Sendable (String) -> [Int32]) {
        state = Locked(State(faults: faults))
        self.encode = encode
    }

    /// A server that speaks so.
    func start(port: UInt16 = 0) throws -> FakeServer { try FakeServer(port: port) { self.reply($0) } }

    /// What weights are, as far as the formula knows: the size of the files and their content.
    static func digest(_ folder: String) -> Int {
        var sum = 17
        for name in ["adapter_model.safetensors", "model.safetensors"] {
            for byte in FileManager.default.contents(atPath: "\(folder)/\(name)") ?? Data() {
                sum = (sum &* 31 &+ Int(byte)) & 0xffff
            }
        }
        return sum
    }

    static func logprob(_ id: Int32, after previous: Int32, weights: Int) -> Double {
        -0.125 - Double((Int(id) * 7 + Int(previous) * 13 + weights) % 97) / 64
    }

    private func reply(_ request: FakeServer.Request) -> FakeServer.Reply {
        let body = (try? JSONValue.parse(request.body)) ?? .null
        return state.withLock { state in
            let path = String(request.path.split(separator: "?")[0])
            state.calls.append(path)
            if var others = state.faults.replies[path], !others.isEmpty {
                let reply = others.removeFirst()
                state.faults.replies[path] = others
                return reply
            }
            switch path {
            case "/v1/models":
                let own = state.faults.names.map {
                    "{\"id\": \"\($0)\", \"parent\": null, \"max_model_len\": \(state.faults.context)}"
                }
                let adapters = state.adapters.keys.map { "{\"id\": \"\($0)\", \"parent\": \"m\"}" }
                return .answer(200, "{\"data\": [\((own + adapters).joined(separator: ","))]}")
            case "/health", "/pause", "/resume", "/reset_prefix_cache": return .answer(200, "")
            case "/tokenize":
                let ids = encode(body["prompt"]?.string ?? "").map { "\(Int($0) + state.faults.shift)" }
                return .answer(200, "{\"count\": \(ids.count), \"tokens\": [\(ids.joined(separator: ","))]}")
            case "/v1/load_lora_adapter":
                let name = body["lora_name"]?.string ?? ""
                guard state.adapters[name] == nil else { return .answer(400, "{\"message\": \"already loaded\"}") }
                state.adapters[name] =
                    state.faults.keepsOldWeights ? 0 : Self.digest(body["lora_path"]?.string ?? "")
                return .answer(200, "Success: LoRA adapter added")
            case "/v1/unload_lora_adapter":
                let isThere = state.adapters.removeValue(forKey: body["lora_name"]?.string ?? "") != nil
                return .answer(isThere ? 200 : 404, "{\"message\": \"not loaded\"}")
            case "/collective_rpc":
                let folder = body["kwargs"]?["weights_path"]?.string ?? ""
                if !state.faults.keepsOldWeights { state.weights = Self.digest(folder) }
                return .answer(200, "{\"results\": [null]}")
            case "/v1/completions": return completion(body, &state)
            default: return .answer(404, "{\"detail\": \"Not Found\"}")
            }
        }
    }

    private func completion(_ body: JSONValue, _ state: inout State) -> FakeServer.Reply {
        let name = body["model"]?.string ?? ""
        guard state.faults.names.contains(name) || state.adapters[name] != nil else {
            return .answer(404, "{\"error\": {\"message\": \"The model `\(name)` does not exist.\"}}")
        }
        let weights = state.adapters[name] ?? state.weights
        let ids = (body["prompt"]?.array ?? []).compactMap { $0.int.map(Int32.init) }
        var scores = "null"
        if body["prompt_logprobs"] != nil {
            state.drifted += state.faults.drift
            let entries = zip(ids.dropFirst(), ids).map { id, before in
                let logprob = Self.logprob(id, after: before, weights: weights) - state.drifted
                return "{\"\(id)\": {\"logprob\": \(logprob), \"rank\": 1, \"decoded_token\": \"?\"}}"
            }
            scores = "[\((["null"] + entries).joined(separator: ","))]"
        }
        let count = body["max_tokens"]?.int ?? 1, seed = body["seed"]?.int ?? 0
        if body["seed"] != nil { state.seeds.append(seed) }
        let response = (0..<count).map { Int32(2 + (seed + $0) % 5) }
        let logprobs = zip(response, [ids.last ?? 0] + response).map { Self.logprob($0, after: $1, weights: weights) }
        return .answer(
            200,
            """
            {"choices": [{"index": 0, "text": "", "finish_reason": "length", "token_ids": \(response), \
            "logprobs": {"token_logprobs": \(logprobs)}, "prompt_logprobs": \(scores), "prompt_token_ids": \(ids)}]}
            """)
    }
}
