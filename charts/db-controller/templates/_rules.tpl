{{/*
Rights on objects in namespaces: by ClusterRole in all of them, or by Role in each watched one.

Secrets are watched by a label selector and read one by one. RBAC can't limit `list` and `watch` to
a selector, so the verbs are here although the controller never asks for all Secrets. Admin Secrets
of servers are read by `get`. To grant less, use `watchNamespaces`.
*/}}
{{- define "db-controller.namespacedRules" -}}
- apiGroups: [persistance.atlas.infoblox.com]
  resources: [databaseclaims, dbroleclaims]
  verbs: [get, list, watch, patch, update]
- apiGroups: [persistance.atlas.infoblox.com]
  resources: [databaseclaims/status, dbroleclaims/status]
  verbs: [get, patch, update]
# Needed for owner references that block deletion.
- apiGroups: [persistance.atlas.infoblox.com]
  resources: [databaseclaims/finalizers, dbroleclaims/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, patch, delete]
{{- if .Values.consumers.enabled }}
# To ask proxies in pods which credential they use.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
{{- end }}
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Rights on what has no namespace, in both modes. */}}
{{- define "db-controller.clusterRules" -}}
- apiGroups: [persistance.atlas.infoblox.com]
  resources: [databaseservers]
  verbs: [get, list, watch]
- apiGroups: [persistance.atlas.infoblox.com]
  resources: [databaseservers/status]
  verbs: [patch, update]
# Labels, for the selector in a server's `allowedNamespaces`.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
