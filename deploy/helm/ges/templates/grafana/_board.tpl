{{/* One config map per board, found by Grafana's sidecar through its labels. */}}
{{- define "ges.board" -}}
{{- $grafana := .root.Values.ges.monitoring.grafana -}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "ges.name" .root }}-{{ trimSuffix ".json" (base .path) | trimPrefix "ges-" }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "ges.labels" .root | nindent 4 }}
    {{- include "ges.texts" $grafana.labels | nindent 4 }}
  {{- include "ges.annotations" (dict "root" .root) | nindent 2 }}
data:
  {{ base .path }}: {{ .root.Files.Get .path | toJson }}
{{ end -}}

{{- define "ges.boards" -}}
{{- $grafana := .Values.ges.monitoring.grafana -}}
{{- if and (include "ges.on" $grafana.enabled) (include "ges.on" $grafana.useConfigMaps) -}}true{{- end -}}
{{- end -}}
