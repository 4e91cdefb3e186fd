/// llama.cpp's names of tensors, looked up for Hugging Face's.
package struct GGUFNames {
    private let layerPrefix: String
    private let ggufLayerPrefix: String
    private var outside: [String: (name: String, module: Module)] = [:]
    private var inLayer: [String: (name: String, module: Module)] = [:]

    package init(_ schema: ModelSchema) {
        layerPrefix = schema.layerPrefix
        ggufLayerPrefix = schema.ggufLayerPrefix
        for module in [schema.embedding, schema.finalNorm, schema.head] {
            outside[module.gguf + ".weight"] = (module.weight, module)
        }
        for group in schema.layer.groups {
            for module in group.modules {
                inLayer[module.gguf + ".weight"] = (module.name + ".weight", module)
                if group.hasBias != nil { inLayer[module.gguf + ".bias"] = (module.name + ".bias", module) }
            }
        }
    }

    /// The name and module of a tensor, `blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`; nil for
    /// names that the schema does not have.
    package func find(_ name: String) -> (name: String, module: Module)? {
        if let found = outside[name] { return found }
        guard name.hasPrefix(ggufLayerPrefix) else { return nil }
        let rest = name.dropFirst(ggufLayerPrefix.count)
        guard let dot = rest.firstIndex(of: "."), let layer = Int(rest[..<dot]), layer >= 0, "\(layer)" == rest[..<dot],
            let found = inLayer[String(rest[rest.index(after: dot)...])]
        else { return nil }
        return ("\(layerPrefix)\(layer).\(found.name)", found.module)
    }
}
