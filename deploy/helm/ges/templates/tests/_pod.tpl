{{/* A pod that runs one of the scripts beside this chart's templates; `files` 0. */}}
{{- define "ges.testPod" -}}
{{- $root := .root -}}
{{- $tests := $root.Values.ges.tests -}}
{{- $tls := $root.Values.ges.tls -}}
{{- $place := printf "http://%s" $root.Values.ges.servicename -}}
{{- if $tls.secretName -}}{{- $place = printf "https://%s" $tls.serverName -}}{{- end -}}
{{- $authority := and $tls.secretName $tls.caKey -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "ges.name" $root }}-test-{{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    app.kubernetes.io/name: ges-test
    app.kubernetes.io/instance: {{ $root.Release.Name }}
  {{- $hook := dict "helm.sh/hook" "test" "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
  {{- include "ges.annotations" (dict "root" $root "own" $hook) | nindent 2 }}
spec:
  restartPolicy: Never
  enableServiceLinks: false
  automountServiceAccountToken: false
  {{- with $root.Values.ges.deployment.image.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "ges.podSecurity" $root | trim | nindent 4 }}
  containers:
    - name: {{ .name }}
      image: {{ $tests.image | quote }}
      command:
        - sh
        - -euc
        - {{ $root.Files.Get (printf "tests/%s.sh" .name) | toJson }}
      env:
        - name: BASE
          value: {{ printf "%s:%d" $place (int $root.Values.ges.service.port_external) | quote }}
        - name: INTERNAL
          value: {{ printf "%s:%d" $place (int $root.Values.ges.service.port_internal) | quote }}
        {{- if $authority }}
        - name: CURL_CA_BUNDLE
          value: /tls/ca.crt
        {{- end }}
        {{- if .key }}
        - name: SERVICE
          value: {{ $tests.serviceName | quote }}
        - name: GROUP
          value: {{ $tests.callInGroup | quote }}
        - name: NUMBER
          value: {{ toString $tests.phoneNumber | quote }}
        - name: KEY
          valueFrom:
            secretKeyRef:
              name: {{ $tests.apiKeySecret.name }}
              key: {{ $tests.apiKeySecret.key }}
        {{- end }}
      resources:
        limits:
          cpu: 100m
          memory: 64Mi
        requests:
          cpu: 10m
          memory: 16Mi
      securityContext:
        {{- include "ges.containerSecurity" $root | nindent 8 }}
      {{- if $authority }}
      volumeMounts:
        - name: authority
          mountPath: /tls
          readOnly: true
  volumes:
    - name: authority
      secret:
        secretName: {{ $tls.secretName | quote }}
        # The key of the listeners is not for tests.
        items:
          - key: {{ $tls.caKey | quote }}
            path: ca.crt
      {{- end }}
{{- end -}}
