{{/* Name of the chart: stable across releases, part of the names that the original fixed. */}}
{{- define "db-controller.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of this release's objects. */}}
{{- define "db-controller.fullname" -}}
{{- $name := include "db-controller.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "db-controller.selectorLabels" -}}
app.kubernetes.io/name: {{ include "db-controller.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end }}

{{- define "db-controller.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "db-controller.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "db-controller.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "db-controller.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Our ServiceAccount as the only subject of a binding. */}}
{{- define "db-controller.subjects" -}}
- kind: ServiceAccount
  name: {{ include "db-controller.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- define "db-controller.class" -}}
{{- .Values.dbController.class | default "default" }}
{{- end }}

{{/* The Lease of the class. The default class shares the original's, so that both never lead. */}}
{{- define "db-controller.leaseName" -}}
{{- $class := include "db-controller.class" . -}}
{{- if ne $class "default" }}{{ $class }}.{{ end }}32151587.atlas.infoblox.com
{{- end }}

{{/* The configuration: what `env`, `lifecycle` and `ib` imply, under what is written out. */}}
{{- define "db-controller.config" -}}
{{- $functions := dict "ib_realm" .Values.ib.realm "ib_env" .Values.env "ib_lifecycle" .Values.lifecycle -}}
{{- $implied := dict "env" .Values.env "systemFunctions" $functions -}}
{{- $config := mergeOverwrite $implied (deepCopy .Values.controllerConfig) -}}
{{- tpl (toYaml $config) . }}
{{- end }}

{{- define "db-controller.alerts" -}}
{{- $known := .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}
{{- if or .Values.metrics.rules.enabled (and .Values.dashboard.alert $known) }}true{{ end }}
{{- end }}

{{/* Keys of the values that this chart does not know, separated by spaces. */}}
{{- define "db-controller.unknownKeys" -}}
{{- $known := list
  "adminRotation" "admissionPolicies" "affinity" "autoscaling" "controllerConfig" "crds" "dashboard" "dbController" "dbproxy"
  "consumers" "deprecationConversionWebhook" "dsnexec" "env" "extraArgs" "extraEnv" "extraVolumeMounts"
  "extraVolumes" "fullnameOverride" "global" "healthProbe" "ib" "image" "imagePullSecrets"
  "lifecycle" "metrics" "nameOverride" "networkPolicy" "nodeSelector" "pdb" "podAnnotations"
  "podLabels" "podSecurityContext" "postgresql" "priorityClassName" "probes" "rbac"
  "replicaCount" "resources" "roleClaims" "secrets" "securityContext" "service" "serviceAccount"
  "terminationGracePeriodSeconds" "tolerations" "tools" "topologySpreadConstraints"
  "watchNamespaces" "webhook" "xr" "xrd" "zapLogger" -}}
{{- range $key := keys .Values | sortAlpha }}
{{- if not (has $key $known) }}{{ $key }} {{ end }}
{{- end }}
{{- /* Sections whose keys are all ours; what the original had there besides has no effect. */}}
{{- $sections := dict
  "adminRotation" (list "enabled")
  "admissionPolicies" (list "enabled")
  "consumers" (list "enabled")
  "crds" (list "install")
  "dashboard" (list "alert" "annotations" "enabled" "labels")
  "dbController" (list "class")
  "dbproxy" (list "defaults" "enabled" "image")
  "deprecationConversionWebhook" (list "enabled")
  "dsnexec" (list "defaults" "enabled" "image")
  "healthProbe" (list "port")
  "ib" (list "realm")
  "image" (list "pullPolicy" "repository" "tag")
  "metrics" (list "port" "rules" "secure" "serviceMonitor")
  "networkPolicy" (list "egress" "enabled" "metricsFrom")
  "pdb" (list "enabled" "maxUnavailable")
  "rbac" (list "aggregateToDefaultRoles" "create")
  "roleClaims" (list "anyNamespace")
  "service" (list "port" "type")
  "serviceAccount" (list "annotations" "create" "name")
  "webhook" (list "certManager" "deletionGuard" "enabled" "port" "unknownClaim")
  "zapLogger" (list "encoding" "level" "timeEncoding") -}}
{{- range $section, $known := $sections }}
{{- range $key := keys (get $.Values $section) | sortAlpha }}
{{- if not (has $key $known) }}{{ $section }}.{{ $key }} {{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Stops on values that have the right type and still make no sense. */}}
{{- define "db-controller.refuse" -}}
{{- if .Values.autoscaling.enabled }}
{{- fail "autoscaling.enabled: more replicas do not make the controller faster, because one leader does the work and the others wait for its Lease. Set it to false, and replicaCount to 2 for a quick takeover; to spread the load, install one release per class (dbController.class)." }}
{{- end }}
{{- if eq (int .Values.metrics.port) (int .Values.healthProbe.port) }}
{{- fail (printf "metrics.port and healthProbe.port are both %d: give them different ports." (int .Values.metrics.port)) }}
{{- end }}
{{- end }}
